// How kernels are launched: the result checked, programmatic dependent launch where the GPU has it.
#pragma once

#include "core/cuda/runtime_cuda.h"

namespace plimsoll::kernels {

struct LaunchShape {
  dim3 grid = 1;
  dim3 block = 1;
  std::size_t shared = 0;  // bytes of dynamic shared memory
  bool dependent = false;  // programmatic dependent launch, on sm_90 and later
};

/// Major compute capability of the current device, asked once a process.
inline int gpu_generation() {
  static const int kMajor = [] {
    int device = 0;
    int major = 0;
    PLIMSOLL_CUDA_CHECK(cudaGetDevice(&device));
    PLIMSOLL_CUDA_CHECK(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device));
    return major;
  }();
  return kMajor;
}

/// kernel(args...) on `stream`. A kernel that takes more than 48 KB of shared memory must have been
/// allowed to (allow_shared()).
template <class... Params, class... Args>
void launch(void (*kernel)(Params...), const LaunchShape& shape, cudaStream_t stream,
            const Args&... args) {
  cudaLaunchConfig_t config{};
  config.gridDim = shape.grid;
  config.blockDim = shape.block;
  config.dynamicSmemBytes = shape.shared;
  config.stream = stream;
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  config.attrs = &attribute;
  config.numAttrs = shape.dependent && gpu_generation() >= 9 ? 1 : 0;
  PLIMSOLL_CUDA_CHECK(cudaLaunchKernelEx(&config, kernel, Params(args)...));
}

/// Lets `kernel` have `bytes` of dynamic shared memory. Cheap, but once a kernel is enough.
template <class... Params>
void allow_shared(void (*kernel)(Params...), std::size_t bytes) {
  PLIMSOLL_CUDA_CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                           static_cast<int>(bytes)));
}

}  // namespace plimsoll::kernels
