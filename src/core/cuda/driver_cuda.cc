#include "core/cuda/driver_cuda.h"

#include "core/cuda/runtime_cuda.h"

namespace plimsoll::cuda {

Support driver_support() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess) {
    cudaGetLastError();  // or the next checked launch would report it
    int driver = 0;      // 1000 major + 10 minor, of CUDA
    if (cudaDriverGetVersion(&driver) == cudaSuccess && driver == 0)
      return Support::no("no NVIDIA driver is installed");
    return Support::no(cudaGetErrorString(error));
  }
  return count > 0 ? Support::yes() : Support::no("no CUDA-capable device is detected");
}

std::vector<Device> driver_devices() {
  int count = 0;
  PLIMSOLL_CUDA_CHECK(cudaGetDeviceCount(&count));
  std::vector<Device> found;
  found.reserve(static_cast<std::size_t>(count));
  for (int index = 0; index < count; ++index) {
    cudaDeviceProp properties{};
    PLIMSOLL_CUDA_CHECK(cudaGetDeviceProperties(&properties, index));
    found.push_back({index, properties.name, properties.major * 10 + properties.minor,
                     properties.multiProcessorCount, properties.totalGlobalMem,
                     static_cast<std::uint64_t>(properties.l2CacheSize),
                     static_cast<int>(properties.sharedMemPerBlockOptin)});
  }
  return found;
}

}  // namespace plimsoll::cuda
