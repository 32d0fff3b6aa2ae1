#include "eval/energy.h"

#include <algorithm>
#include <fstream>
#include <utility>

#include "core/error.h"
#include "ops/device.h"

namespace plimsoll {

namespace fs = std::filesystem;

namespace {

/// intel-rapl:0, but neither intel-rapl:0:1, which is a part of it, nor intel-rapl-mmio:0, which
/// counts the same again.
bool is_top_domain(const std::string& folder) {
  constexpr std::string_view kPrefix = "intel-rapl:";
  return folder.starts_with(kPrefix) && folder.find(':', kPrefix.size()) == std::string::npos;
}

std::string first_word(const fs::path& file) {
  std::ifstream stream(file);
  std::string word;
  stream >> word;
  return word;
}

}  // namespace

EnergyMeter::EnergyMeter(const fs::path& powercap) {
  std::error_code error;
  std::vector<fs::path> domains;
  for (const fs::directory_entry& entry : fs::directory_iterator(powercap, error)) {
    if (is_top_domain(entry.path().filename().string()) &&
        first_word(entry.path() / "name").starts_with("package")) {
      domains.push_back(entry.path());
    }
  }
  std::ranges::sort(domains);
  if (domains.empty()) {
    reason_ = fmt::format("no RAPL package in {} (a virtual machine, or a kernel without it)",
                          powercap.string());
    return;
  }
  packages_.reserve(domains.size());
  for (const fs::path& domain : domains) {
    const auto range = read(domain / "max_energy_range_uj");
    if (!range || !read(domain / "energy_uj")) {
      packages_.clear();
      return;
    }
    packages_.push_back({domain / "energy_uj", *range});
  }
  start();
}

EnergyMeter::EnergyMeter(cuda::EnergyCounter gpu) : gpu_(std::move(gpu)) {
  reason_ = gpu_->reason();
  start();
}

EnergyMeter EnergyMeter::of(const ops::Context& context) {
  return context.device != nullptr ? EnergyMeter(cuda::EnergyCounter(context.device->pci_bus_id()))
                                   : EnergyMeter();
}

std::optional<std::uint64_t> EnergyMeter::read(const fs::path& file) {
  std::ifstream stream(file);
  std::uint64_t value = 0;
  if (stream >> value) return value;
  reason_ = fmt::format("{} cannot be read (most systems let only root)", file.string());
  return std::nullopt;
}

void EnergyMeter::start() {
  if (gpu_) gpu_begin_ = gpu_->joules().value_or(0);
  for (Package& package : packages_) {
    const auto now = read(package.counter);
    if (!now) return packages_.clear();
    package.begin_uj = *now;
  }
}

std::optional<double> EnergyMeter::joules() {
  if (gpu_) {
    const auto now = gpu_->joules();
    reason_ = gpu_->reason();
    if (!now) return std::nullopt;
    return *now - gpu_begin_;
  }
  if (packages_.empty()) return std::nullopt;
  double total = 0;
  for (const Package& package : packages_) {
    const auto now = read(package.counter);
    if (!now) return std::nullopt;
    const std::uint64_t wrapped = *now < package.begin_uj ? package.range_uj : 0;
    total += static_cast<double>(*now + wrapped - package.begin_uj) * 1e-6;
  }
  return total;
}

}  // namespace plimsoll
