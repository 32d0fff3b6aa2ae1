// Energy by the machine's own counters.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/cuda/energy_counter.h"
#include "ops/context.h"

namespace plimsoll {

/// Of the CPU: Running Average Power Limit through Linux's powercap (Documentation/power/powercap):
/// intel-rapl:N, whose domain "package-..." is one socket with its cores and caches; AMD's driver
/// has the same name. Domains inside a package (core, uncore, dram) are not added to it. The
/// counters hold what the whole machine used, idle power and other programs included, and most
/// systems let only root read them. Of a GPU: cuda::EnergyCounter.
class EnergyMeter {
 public:
  explicit EnergyMeter(const std::filesystem::path& powercap = "/sys/class/powercap");
  explicit EnergyMeter(cuda::EnergyCounter gpu);
  /// Of what the context runs on.
  static EnergyMeter of(const ops::Context& context);

  /// Whose counters these are: "rapl" or "nvml".
  std::string source() const { return gpu_ ? "nvml" : "rapl"; }
  /// Why there is no energy to be had; empty where there is.
  const std::string& reason() const { return reason_; }

  void start();
  /// Joules since start(), all packages together; none where unavailable, or when a counter went
  /// away meanwhile, which reason() then says. A counter may wrap around once between the two,
  /// which takes minutes at full load: measure longer runs in pieces.
  std::optional<double> joules();

 private:
  struct Package {
    std::filesystem::path counter;  // energy_uj
    std::uint64_t range_uj = 0;     // the counter goes back to 0 beyond it
    std::uint64_t begin_uj = 0;
  };
  /// The counter's microjoules; none and a reason when it cannot be read.
  std::optional<std::uint64_t> read(const std::filesystem::path& file);

  std::vector<Package> packages_;
  std::optional<cuda::EnergyCounter> gpu_;
  double gpu_begin_ = 0;  // joules
  std::string reason_;
};

}  // namespace plimsoll
