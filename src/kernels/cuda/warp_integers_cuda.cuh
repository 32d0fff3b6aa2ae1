// What a warp's lanes make of an integer each. One instruction from sm_80 on; GPUs before it
// shuffle.
#pragma once

#include <cstdint>

namespace plimsoll::cuda_device {

template <class Combine>
__device__ inline std::uint32_t across_warp(std::uint32_t value, Combine&& combine) {
  for (int lane = 16; lane > 0; lane /= 2)
    value = combine(value, __shfl_xor_sync(0xffffffffu, value, lane));
  return value;
}

__device__ inline std::uint32_t warp_add(std::uint32_t value) {
#if __CUDA_ARCH__ >= 800
  return __reduce_add_sync(0xffffffffu, value);
#else
  return across_warp(value, [](std::uint32_t a, std::uint32_t b) { return a + b; });
#endif
}

__device__ inline std::uint32_t warp_largest(std::uint32_t value) {
#if __CUDA_ARCH__ >= 800
  return __reduce_max_sync(0xffffffffu, value);
#else
  return across_warp(value, [](std::uint32_t a, std::uint32_t b) { return a > b ? a : b; });
#endif
}

__device__ inline std::uint32_t warp_or(std::uint32_t value) {
#if __CUDA_ARCH__ >= 800
  return __reduce_or_sync(0xffffffffu, value);
#else
  return across_warp(value, [](std::uint32_t a, std::uint32_t b) { return a | b; });
#endif
}

}  // namespace plimsoll::cuda_device
