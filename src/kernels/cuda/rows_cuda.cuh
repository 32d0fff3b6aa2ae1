// Rows of activations that one product hands to the next, in f32 or in 16 bits.
#pragma once

#include "kernels/cuda/device_cuda.cuh"

namespace plimsoll::cuda_device {

/// Four neighbours: of `x`, or where `x16` is given of that, bf16 or f16.
__device__ inline float4 load_four(const float* x, const void* x16, bool bf16, std::int64_t at) {
  if (x16 == nullptr) return *reinterpret_cast<const float4*>(x + at);
  const uint2 bits = *reinterpret_cast<const uint2*>(static_cast<const std::uint16_t*>(x16) + at);
  if (bf16) {
    return {__uint_as_float(bits.x << 16), __uint_as_float(bits.x & 0xffff0000u),
            __uint_as_float(bits.y << 16), __uint_as_float(bits.y & 0xffff0000u)};
  }
  const float2 first = __half22float2(*reinterpret_cast<const __half2*>(&bits.x));
  const float2 second = __half22float2(*reinterpret_cast<const __half2*>(&bits.y));
  return {first.x, first.y, second.x, second.y};
}

/// Two neighbours of the same.
__device__ inline float2 load_two(const float* x, const void* x16, bool bf16, std::int64_t at) {
  if (x16 == nullptr) return *reinterpret_cast<const float2*>(x + at);
  const std::uint32_t bits =
      *reinterpret_cast<const std::uint32_t*>(static_cast<const std::uint16_t*>(x16) + at);
  if (bf16) return {__uint_as_float(bits << 16), __uint_as_float(bits & 0xffff0000u)};
  return __half22float2(*reinterpret_cast<const __half2*>(&bits));
}

/// One of them.
__device__ inline float load_one(const float* x, const void* x16, bool bf16, std::int64_t at) {
  if (x16 == nullptr) return x[at];
  const std::uint16_t bits = static_cast<const std::uint16_t*>(x16)[at];
  return bf16 ? __uint_as_float(static_cast<std::uint32_t>(bits) << 16)
              : __half2float(__ushort_as_half(bits));
}

/// Two neighbours in 16 bits.
__device__ inline std::uint32_t pair_bits(bool bf16, float a, float b) {
  return bf16 ? bf162_bits(a, b) : half2_bits(a, b);
}

}  // namespace plimsoll::cuda_device
