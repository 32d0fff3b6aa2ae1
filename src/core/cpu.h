// What this CPU can run. Kernels are compiled for several instruction sets into one binary and
// chosen here at run time.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace plimsoll {

/// Ordered: each level includes those before it.
///   scalar       x86-64 baseline (or another architecture)
///   avx2         AVX2, FMA, F16C                       (Haswell, Zen)
///   avx512       AVX-512 F, BW, VL, DQ, VNNI           (Cascade Lake, Ice Lake)
///   avx512_bf16  AVX-512 BF16 and VBMI besides         (Sapphire Rapids, Zen 4)
enum class Isa { scalar, avx2, avx512, avx512_bf16 };

std::string_view isa_name(Isa isa);
/// "avx512-bf16" and so on; nullopt for an unknown name.
std::optional<Isa> isa_from_name(std::string_view name);

/// The highest level that this CPU and its operating system run.
Isa detected_isa();
/// The level in use: detected_isa() unless limited. InputError when the CPU lacks `isa`.
Isa current_isa();
void limit_isa(Isa isa);

/// "AMD EPYC" etc., from /proc/cpuinfo.
std::string cpu_model_name();

}  // namespace plimsoll
