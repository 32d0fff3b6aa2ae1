// The machine's own ceilings, measured in the process whose figures they judge: how fast memory can
// be read, and how many multiply-adds the units take.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/cpu.h"
#include "ops/context.h"

namespace plimsoll {

/// A rate measured many times over, all threads at once.
struct MeasuredRate {
  double median = 0;
  double best = 0;
  std::size_t samples = 0;
};

/// Reading memory that no cache holds, in GB/s (1e9 bytes) over all threads.
struct ReadCeiling {
  std::string probe;  // "read_probe_avx512"
  int streams = 1;    // runs that each thread reads side by side
  MeasuredRate gbps;
};

/// What a unit of the CPU multiplies and adds at best, in 1e9 operations a second over all threads;
/// multiply and add count as two.
struct UnitCeiling {
  std::string unit;   // "fp32", "bf16", "int8"
  std::string probe;  // "int8_probe_avx512"
  Isa isa = Isa::scalar;
  MeasuredRate gops;
};

struct Ceilings {
  int threads = 0;
  std::int64_t bytes_per_thread = 0;  // of the memory that was read
  std::vector<ReadCeiling> reads;     // every access pattern
  std::vector<UnitCeiling> units;     // best instruction set of a unit first

  /// The pattern with the highest median: the bandwidth that figures are shares of.
  const ReadCeiling& read() const;
  /// The best available probe of the unit; nullptr where the CPU has no such unit.
  const UnitCeiling* unit(std::string_view name) const;
};

/// Which probes are run: those of the instruction set in use, or of all that the CPU has.
enum class ProbeSet { in_use, all };

/// Far more than a core's share of any last-level cache.
inline constexpr std::int64_t kProbedBytesPerThread = std::int64_t{256} << 20;

/// Measures in short rounds, so that they can take turns with what they are to judge. Threads are
/// those of set_threads() at construction; `bytes_per_thread` (whole windows of 8 MiB, less where
/// memory is short) are held for as long as the meter lives.
class CeilingMeter {
 public:
  explicit CeilingMeter(ProbeSet probes, std::int64_t bytes_per_thread = kProbedBytesPerThread);
  /// Of what the context runs on. A GPU's are the rate of a copy ("copy_cuda") and of the vendor's
  /// dense product (unit "fp16"); no memory is held.
  explicit CeilingMeter(const ops::Context& context);
  ~CeilingMeter();
  CeilingMeter(CeilingMeter&&) noexcept;
  CeilingMeter& operator=(CeilingMeter&&) noexcept;
  CeilingMeter(const CeilingMeter&) = delete;
  CeilingMeter& operator=(const CeilingMeter&) = delete;

  /// One pass over the memory in each access pattern and a few milliseconds of every unit: about
  /// 0.1 s.
  void round();
  /// Forgets all rounds so far.
  void restart();
  /// Of all rounds since the start, at least one.
  Ceilings result() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
  ops::Device* device_ = nullptr;  // and then no state
  std::vector<double> copies_, products_;
};

/// About a second of rounds.
Ceilings measure_ceilings(ProbeSet probes);
Ceilings measure_ceilings(ops::Device& device);

}  // namespace plimsoll
