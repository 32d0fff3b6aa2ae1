// Activations on their way into a format's form: the row as it comes, the norm before the product,
// and where the form lies. Each format's Stage (gemv_*_cuda.cu) does the rest, for one row in the
// product's own blocks, for several in a kernel of their own (gemv_rows_cuda.cuh): put() is called
// by the whole block, and ends with a barrier behind what it wrote.
#pragma once

#include "kernels/cuda/device_cuda.cuh"
#include "kernels/gemv/gemv_plan_cuda.h"

namespace plimsoll::kernels::gemv {

inline constexpr int kWarps = 16;
inline constexpr int kThreads = kWarps * 32;

PLIMSOLL_HOST_DEVICE constexpr std::uint32_t round_up(std::uint32_t bytes, std::uint32_t to) {
  return (bytes + to - 1) / to * to;
}

/// Rows of activations in a format's form, in shared memory or in Args::scratch. Places that no row
/// has are never written: what is made of them is not used.
struct Prepared {
  unsigned char* activations;  // [chunks][Stage::activation_bytes(places)]
  float* scales;               // [places]: of int8 and fp8
};

/// Bytes at which they lie after one another.
struct PreparedLayout {
  std::uint32_t scales, total;

  __device__ Prepared at(unsigned char* base) const {
    return {base, reinterpret_cast<float*>(base + scales)};
  }
};

template <class Stage>
PLIMSOLL_HOST_DEVICE constexpr PreparedLayout prepared_layout(int chunks, int places) {
  PreparedLayout layout{};
  const auto count = static_cast<std::uint32_t>(chunks);
  layout.scales = round_up(count * Stage::activation_bytes(places), 128);
  layout.total = layout.scales + round_up(static_cast<std::uint32_t>(places) * 4, 128);
  return layout;
}

__device__ inline float4 load4(const float* from) {
  return *reinterpret_cast<const float4*>(from);
}

// An f32 whose last bit counts 1: an integer below 2^22 added to its bits is added to its value.
inline constexpr std::int32_t kMagicBits = 0x4b400000;
inline constexpr float kMagic = 12582912.0f;  // 1.5 * 2^23

/// kMagicBits + __float2int_rn(x), for |x| < 2^22: its low bytes are the integer's.
__device__ inline std::uint32_t integer_bits(float x) {
  return __float_as_uint(__fadd_rn(x, kMagic));
}

/// Byte kByte of each word.
template <int kByte>
__device__ inline std::uint32_t bytes_of(const std::uint32_t (&words)[4]) {
  constexpr unsigned kPair = kByte | (4 + kByte) << 4;
  return __byte_perm(__byte_perm(words[0], words[1], kPair), __byte_perm(words[2], words[3], kPair),
                     0x5410);
}

/// The sum (or the largest) over the block; `parts` [kWarps] is for this call alone until every
/// thread has passed another barrier.
template <bool kMax>
__device__ inline float across_block(float value, float* parts, int warp, int lane) {
  value = kMax ? cuda_device::warp_max(value) : cuda_device::warp_sum(value);
  if (lane == 0) parts[warp] = value;
  __syncthreads();
  value = parts[lane % kWarps];
  for (int i = kWarps / 2; i > 0; i /= 2) {
    const float other = __shfl_xor_sync(0xffffffffu, value, i);
    value = kMax ? fmaxf(value, other) : value + other;
  }
  return value;
}

/// Floats of shared memory that a row's statistics take: mean, variance, and two of the format's.
inline constexpr int kStatisticFloats = 4 * kWarps;

/// One row of activations in shared memory, as a warp sees it.
struct Row {
  const float* raw;            // [columns], as stored
  const float* norm;           // [columns]; nullptr: none
  const float* norm_bias;      // [columns]; nullptr: RMSNorm
  const std::int32_t* gather;  // see DeviceWeights
  int own_begin, own_end;      // columns as stored: the warp's share of the row's statistics
  int begin, end;              // columns as packed: what it brings into the format's form
  int warp, lane;
  float mean, factor;

  /// fn(column, four values, whether they are within the share), by the whole warp, of stored
  /// columns after the norm.
  template <class Fn>
  __device__ void visit_own(Fn&& fn) const {
#pragma unroll 1
    for (int start = own_begin; start < own_end; start += 128) {
      const int c = start + lane * 4;
      fn(c, c < own_end ? four(c) : float4{0, 0, 0, 0}, c < own_end);
    }
  }
  /// The same of packed columns.
  template <class Fn>
  __device__ void visit(Fn&& fn) const {
#pragma unroll 1
    for (int start = begin; start < end; start += 128) {
      const int c = start + lane * 4;
      float4 v{0, 0, 0, 0};
      if (c < end) v = gather == nullptr ? four(c) : gathered(c);
      fn(c, v, c < end);
    }
  }

  /// What the norm needs to know of the row; by the whole block. `parts` has two times kWarps.
  __device__ void find_norm(const Plan& plan, float* parts) {
    const auto columns = static_cast<float>(plan.w.columns);
    if (norm_bias != nullptr) {
      float sum = 0;
      for (int c = own_begin + lane * 4; c < own_end; c += 128) {
        const float4 v = load4(raw + c);
        sum += v.x + v.y + v.z + v.w;
      }
      mean = across_block<false>(sum, parts, warp, lane) / columns;
    }
    float sum = 0;
    for (int c = own_begin + lane * 4; c < own_end; c += 128) {
      float4 v = load4(raw + c);
      if (norm_bias != nullptr) v = {v.x - mean, v.y - mean, v.z - mean, v.w - mean};
      // Said in full: what becomes one operation must not be each kernel's compilation's choice.
      sum = fmaf(v.x, v.x, fmaf(v.y, v.y, fmaf(v.z, v.z, fmaf(v.w, v.w, sum))));
    }
    sum = across_block<false>(sum, parts + kWarps, warp, lane);
    factor = 1 / sqrtf(sum / columns + plan.args.epsilon);
  }

 private:
  __device__ float4 four(int c) const {
    float4 v = load4(raw + c);
    if (norm == nullptr) return v;
    const float4 n = load4(norm + c);
    if (norm_bias == nullptr) {
      return {v.x * factor * n.x, v.y * factor * n.y, v.z * factor * n.z, v.w * factor * n.w};
    }
    const float4 b = load4(norm_bias + c);
    return {fmaf((v.x - mean) * factor, n.x, b.x), fmaf((v.y - mean) * factor, n.y, b.y),
            fmaf((v.z - mean) * factor, n.z, b.z), fmaf((v.w - mean) * factor, n.w, b.w)};
  }
  __device__ float one(int c) const {
    if (c < 0) return 0;
    if (norm == nullptr) return raw[c];
    if (norm_bias == nullptr) return raw[c] * factor * norm[c];
    return fmaf((raw[c] - mean) * factor, norm[c], norm_bias[c]);
  }
  __device__ float4 gathered(int c) const {
    const int4 from = *reinterpret_cast<const int4*>(gather + c);
    return {one(from.x), one(from.y), one(from.z), one(from.w)};
  }
};

}  // namespace plimsoll::kernels::gemv
