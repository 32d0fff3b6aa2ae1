// The energy that a GPU has used, as NVIDIA's management library (NVML) counts it. The library
// comes with the driver and is opened at run time. In every build.
#pragma once

#include <optional>
#include <string>

namespace plimsoll::cuda {

/// The functions of NVML that are used, as nvml.h has them; a status of 0 is success.
struct Nvml {
  std::string missing;  // why there are none; empty where there are
  int (*init)() = nullptr;
  int (*find_device)(const char* pci_bus_id, void** device) = nullptr;
  int (*energy)(void* device, unsigned long long* millijoules) = nullptr;
  const char* (*error)(int status) = nullptr;
};

/// libnvidia-ml.so.1, open until the process ends.
const Nvml& nvml();

/// A GPU's own counter: the whole board's, memory included, other programs' work too.
class EnergyCounter {
 public:
  /// `pci_bus_id` as the driver has it: "0000:19:00.0". `library` must outlive the counter.
  explicit EnergyCounter(const std::string& pci_bus_id, const Nvml& library = nvml());

  /// Why it cannot be read; empty where it can.
  const std::string& reason() const { return reason_; }
  /// Used since the driver was loaded; none where it cannot be read, which reason() then says. The
  /// driver updates it some times a second: measure for longer.
  std::optional<double> joules();

 private:
  const Nvml& library_;
  void* device_ = nullptr;
  std::string reason_;
};

}  // namespace plimsoll::cuda
