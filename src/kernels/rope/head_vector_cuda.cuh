// One head's query, key or value in the registers of a warp: loaded, rotated, written to the cache.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "kernels/cuda/device_cuda.cuh"
#include "kv/device_kv_cuda.h"

namespace plimsoll::kernels {

/// Cosine and sine of position * frequency. The angle is reduced to [-pi, pi] in double: in f32 it
/// would be off by 0.004 at position 100,000.
__device__ inline float2 rope_angle(int position, float frequency) {
  double turns = static_cast<double>(position) * frequency * 0.31830988618379067154;
  turns -= 2 * rint(turns / 2);
  float2 angle;
  sincospif(static_cast<float>(turns), &angle.y, &angle.x);
  return angle;
}

/// Elements i and i + head_dim / 2 of a head, i = lane + 32 j. Beyond head_dim all is zero.
struct HeadVector {
  static constexpr int kPairs = 4;
  float low[kPairs];
  float high[kPairs];
  int half;
  int lane;

  __device__ HeadVector(int head_dim, int lane_of)
      : low{}, high{}, half(head_dim / 2), lane(lane_of) {}

  /// fn(pair's place in low and high, its i) for every pair of this lane.
  template <class Fn>
  __device__ void visit(Fn&& fn) const {
#pragma unroll
    for (int j = 0; j < kPairs; ++j) {
      if (lane + 32 * j < half) fn(j, lane + 32 * j);
    }
  }

  __device__ void load(const float* from) {
    visit([&](int j, int i) {
      low[j] = from[i];
      high[j] = from[i + half];
    });
  }

  __device__ void store(float* to) const {
    visit([&](int j, int i) {
      to[i] = low[j];
      to[i + half] = high[j];
    });
  }

  /// angle(i): cosine and sine of pair i.
  template <class Angle>
  __device__ void rotate(Angle&& angle) {
    visit([&](int j, int i) {
      const float2 by = angle(i);
      const float a = low[j];
      const float b = high[j];
      low[j] = a * by.x - b * by.y;
      high[j] = b * by.x + a * by.y;
    });
  }
};

/// Where one token's key or value of one head goes in the cache.
struct CachePlace {
  kv::KvFormat format;
  bool key;
  int head_dim;
  int padded_dim;
  int slot;
  void* head;    // the head's part of the block
  float* scale;  // int8: of this token

  __device__ int offset(int element) const {
    return kv::device_offset(format, padded_dim, key, slot, element);
  }

  /// Element `e` gets encode(e's value), the padding zero.
  template <class T, class Encode>
  __device__ void write_as(const HeadVector& x, Encode&& encode) const {
    auto* to = static_cast<T*>(head);
    x.visit([&](int j, int i) {
      to[offset(i)] = encode(x.low[j]);
      to[offset(i + x.half)] = encode(x.high[j]);
    });
    for (int e = head_dim + x.lane; e < padded_dim; e += 32) to[offset(e)] = encode(0.0f);
  }

  /// By the whole warp. As kv::write_tokens() on the host.
  __device__ void write(const HeadVector& x) const {
    switch (format) {
      case kv::KvFormat::f32:
        return write_as<float>(x, [](float v) { return v; });
      case kv::KvFormat::bf16:
        return write_as<__nv_bfloat16>(x, [](float v) { return __float2bfloat16_rn(v); });
      case kv::KvFormat::fp16:
        return write_as<__half>(x, [](float v) { return __float2half_rn(v); });
      case kv::KvFormat::int8:
        return write_int8(x);
    }
  }

 private:
  __device__ void write_int8(const HeadVector& x) const {
    float largest = 0;
    bool finite = true;
    x.visit([&](int j, int) {
      largest = fmaxf(largest, fmaxf(fabsf(x.low[j]), fabsf(x.high[j])));
      finite = finite && isfinite(x.low[j]) && isfinite(x.high[j]);
    });
    largest = cuda_device::warp_max(largest);
    finite = __all_sync(0xffffffffu, finite) != 0;
    const float inverse = __fdiv_rn(127.0f, largest);
    const bool usable = finite && isfinite(inverse);
    if (x.lane == 0) {
      *scale = usable ? __fdiv_rn(largest, 127.0f) : finite ? 0.0f : __int_as_float(0x7fffffff);
    }
    write_as<std::int8_t>(x, [&](float v) {
      return usable ? static_cast<std::int8_t>(__float2int_rn(v * inverse)) : std::int8_t{0};
    });
  }
};

/// The place of row `row`'s token; by its block's id, from the row's line of the tables.
__device__ inline CachePlace cache_place(const kv::DeviceKv& kv, int position, int block, int head,
                                         bool key) {
  const int padded = (static_cast<int>(kv.layout.head_dim) + 15) / 16 * 16;
  const bool int8 = kv.layout.format == kv::KvFormat::int8;
  const int element_bytes = kv.layout.format == kv::KvFormat::f32 ? 4 : int8 ? 1 : 2;
  constexpr int kTokens = static_cast<int>(kv::kBlockTokens);
  const std::int64_t head_bytes = kTokens * padded * element_bytes;
  const std::int64_t part = kv.layout.kv_heads * head_bytes;
  const int slot = position % kTokens;
  float* scales = key ? kv.key_scales : kv.value_scales;
  return {kv.layout.format,
          key,
          static_cast<int>(kv.layout.head_dim),
          padded,
          slot,
          (key ? kv.keys : kv.values) + block * 2 * part + head * head_bytes,
          int8 ? scales + (block * kv.layout.kv_heads + head) * kTokens + slot : nullptr};
}

/// The line of the tables that row `row` reads.
__device__ inline const std::int32_t* table_of(const kv::DeviceKv& kv, int row) {
  const std::int64_t line = kv.sequences != nullptr ? kv.sequences[row] : row;
  return kv.tables + line * kv.table_stride;
}

}  // namespace plimsoll::kernels
