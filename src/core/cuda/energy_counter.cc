#include "core/cuda/energy_counter.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include "core/cuda/open_library.h"

namespace plimsoll::cuda {

const Nvml& nvml() {
  static const Nvml kLibrary = [] {
    Nvml found;
    void* handle = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) {
      found.missing = "no libnvidia-ml.so.1 (NVML), which comes with NVIDIA's driver";
      return found;
    }
    const auto find = [&](auto& function, const char* symbol) {
      if (!find_function(handle, function, symbol))
        found.missing = fmt::format("NVML has no {}", symbol);
    };
    find(found.init, "nvmlInit_v2");
    find(found.find_device, "nvmlDeviceGetHandleByPciBusId_v2");
    find(found.energy, "nvmlDeviceGetTotalEnergyConsumption");
    find(found.error, "nvmlErrorString");
    return found;
  }();
  return kLibrary;
}

EnergyCounter::EnergyCounter(const std::string& pci_bus_id, const Nvml& library)
    : library_(library), reason_(library.missing) {
  if (!reason_.empty()) return;
  int status = library_.init();
  if (status == 0) status = library_.find_device(pci_bus_id.c_str(), &device_);
  if (status != 0) {
    reason_ = fmt::format("NVML finds no GPU {}: {}", pci_bus_id, library_.error(status));
    return;
  }
  joules();
}

std::optional<double> EnergyCounter::joules() {
  if (!reason_.empty()) return std::nullopt;
  unsigned long long millijoules = 0;
  if (const int status = library_.energy(device_, &millijoules); status != 0) {
    reason_ = fmt::format("NVML does not tell this GPU's energy: {}", library_.error(status));
    return std::nullopt;
  }
  return static_cast<double>(millijoules) * 1e-3;
}

}  // namespace plimsoll::cuda
