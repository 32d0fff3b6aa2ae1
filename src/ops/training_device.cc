#include "ops/training_device.h"

#include "ops/device.h"

namespace plimsoll::ops {

TrainingDevice* training_device(const Tensor& tensor) {
  if (tensor.device() == nullptr) return nullptr;
  auto* device = dynamic_cast<Device*>(tensor.device());
  PLIMSOLL_CHECK(device != nullptr, "memory without kernels");
  return &device->training();
}

}  // namespace plimsoll::ops
