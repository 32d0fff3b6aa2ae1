#include "core/cuda/device.h"

#ifdef PLIMSOLL_HAS_CUDA
#include "core/cuda/driver_cuda.h"
#endif

namespace plimsoll::cuda {

#ifdef PLIMSOLL_HAS_CUDA

Support available() {
  return driver_support();
}

std::vector<Device> devices() {
  return available() ? driver_devices() : std::vector<Device>{};
}

#else

Support available() {
  return Support::no("built without CUDA");
}

std::vector<Device> devices() {
  return {};
}

#endif

}  // namespace plimsoll::cuda
