// What the machine can do at best, for every other figure to be judged by: loops that only read, or
// only multiply and add in registers. One thread each; whoever measures runs them on all threads.
#pragma once

#include <cstdint>
#include <span>

#include "core/variant.h"
#include "kernels/machine_probe/machine_probe_isa.h"

namespace plimsoll::kernels {

/// Reads `count` words once. They are cut into `streams` equal runs that are read side by side, 64
/// bytes of each in turn; hardware prefetchers follow a few such streams, not many.
struct ReadArgs {
  const std::uint64_t* words = nullptr;  // 64-byte aligned
  std::int64_t count = 0;                // a multiple of 8 * streams
  int streams = 1;                       // 1 to kProbeStreams
  std::uint64_t* checksum = nullptr;     // exclusive or of all words: the proof that all were read
};

/// Multiplies and adds in registers, as fast as the unit takes them.
struct DotArgs {
  std::int64_t iterations = 0;  // at most kProbeIterations
  /// How many products were added up, summed from the accumulators: every product is 1 * 1.
  /// iterations * kProbeAccumulators * products an instruction.
  std::int64_t* products = nullptr;
};

/// read_probe_avx512, ... best first, the scalar oracle last.
std::span<const KernelVariant<ReadArgs>> read_probes();
/// fp32 multiply-add.
std::span<const KernelVariant<DotArgs>> fp32_probes();
/// bf16 dot product with fp32 sums. Only CPUs with AVX-512 BF16 have one: no other variant.
std::span<const KernelVariant<DotArgs>> bf16_probes();
/// u8 by s8 dot product with i32 sums: VNNI; on AVX2 in three instructions.
std::span<const KernelVariant<DotArgs>> int8_probes();

}  // namespace plimsoll::kernels
