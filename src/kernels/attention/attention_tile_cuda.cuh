// Tiles of the paged cache as operands of the tensor cores, and what of attention decode and
// prefill share. kv/device_kv_cuda.h draws the layout.
#pragma once

#include <type_traits>

#include "kernels/cuda/device_cuda.cuh"
#include "kv/device_kv_cuda.h"

namespace plimsoll::kernels {

using kv::KvFormat;

inline constexpr int kBlockTokens = static_cast<int>(kv::kBlockTokens);

__device__ inline float minus_infinity() {
  return __int_as_float(0xff800000);
}

/// 2^x; results below f32's normal ones are zero.
__device__ inline float power_of_two(float x) {
  float result = 0;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}

/// Two values as the 16-bit type that a cache of this format is multiplied in.
template <KvFormat kFormat>
__device__ inline std::uint32_t pack16(float a, float b) {
  if constexpr (kFormat == KvFormat::bf16) return cuda_device::bf162_bits(a, b);
  const __half2 pair = __floats2half2_rn(a, b);
  return *reinterpret_cast<const std::uint32_t*>(&pair);
}

/// d += a b, a [16, 16] and b [16, 8] of that type.
template <KvFormat kFormat>
__device__ inline void mma16(float (&d)[4], const uint4& a, std::uint32_t b0, std::uint32_t b1) {
  const std::uint32_t registers[4] = {a.x, a.y, a.z, a.w};
  if constexpr (kFormat == KvFormat::bf16) {
    cuda_device::mma_bf16(d, registers, b0, b1);
  } else {
    cuda_device::mma_f16(d, registers, b0, b1);
  }
}

/// Codes in [-127, 127], a byte each, as f16: 1024 + 128 + code has the code in its last byte.
__device__ inline uint4 codes_to_f16(uint2 codes) {
  codes.x ^= 0x80808080u;
  codes.y ^= 0x80808080u;
  const auto widen = [](std::uint32_t bytes, std::uint32_t selector) {
    const std::uint32_t bits = __byte_perm(bytes, 0x64646464u, selector);
    const __half2 value = __hsub2(*reinterpret_cast<const __half2*>(&bits),
                                  __half2{__half_raw{0x6480}, __half_raw{0x6480}});
    return *reinterpret_cast<const std::uint32_t*>(&value);
  };
  return {widen(codes.x, 0x4140), widen(codes.x, 0x4342), widen(codes.y, 0x4140),
          widen(codes.y, 0x4342)};
}

/// Four 8 x 8 matrices of 16-bit values, a row at `row` of each lane, in registers as operand A
/// wants them: a row a group of four lanes; with kTransposed a column. sm_75.
template <bool kTransposed>
__device__ inline uint4 load_matrices(const unsigned char* row) {
  const auto at = static_cast<std::uint32_t>(__cvta_generic_to_shared(row));
  uint4 a{};
  if constexpr (kTransposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(a.x), "=r"(a.y), "=r"(a.z), "=r"(a.w)
                 : "r"(at));
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(a.x), "=r"(a.y), "=r"(a.z), "=r"(a.w)
                 : "r"(at));
  }
  return a;
}

/// A lane's share of tile `tile` (of `tiles`) of one head's keys of a block, in shared memory: the
/// registers of operand A, tokens by elements.
template <KvFormat kFormat>
__device__ inline uint4 key_operand(const unsigned char* part, int tiles, int tile, int lane) {
  if constexpr (kFormat == KvFormat::int8) {
    return codes_to_f16(reinterpret_cast<const uint2*>(part)[tile * 32 + lane]);
  } else {
    return load_matrices<false>(part + (lane / 8 % 2 * tiles * 2 + lane / 16) * 128 +
                                lane % 8 * 16 + tile * 256);
  }
}

/// The same of values, elements by tokens.
template <KvFormat kFormat>
__device__ inline uint4 value_operand(const unsigned char* part, int tiles, int tile, int lane) {
  if constexpr (kFormat == KvFormat::int8) {
    return codes_to_f16(reinterpret_cast<const uint2*>(part)[tile * 32 + lane]);
  } else {
    return load_matrices<true>(part + (lane / 16 * tiles * 2 + lane / 8 % 2) * 128 + lane % 8 * 16 +
                               tile * 256);
  }
}

/// Zeros for values of a block's tokens outside [seen, held): nobody may have written them, and a
/// weight of zero would not undo a NaN.
struct ValueMask {
  std::uint32_t low;   // of tokens 2 t, 2 t + 1 for lane t of four
  std::uint32_t high;  // of tokens 2 t + 8, 2 t + 9

  bool all;

  __device__ ValueMask(int seen, int held, int lane) : all(seen <= 0 && held >= kBlockTokens) {
    const int token = lane % 4 * 2;
    const auto pair = [&](int first) {
      return (first >= seen && first < held ? 0xffffu : 0u) |
             (first + 1 >= seen && first + 1 < held ? 0xffff0000u : 0u);
    };
    low = pair(token);
    high = pair(token + 8);
  }
  __device__ uint4 keep(const uint4& a) const {
    return {a.x & low, a.y & low, a.z & high, a.w & high};
  }
};

/// An 8 x 8 matrix of 16-bit values, a row a group of four lanes, the other way round. sm_75.
__device__ inline std::uint32_t transpose8(std::uint32_t rows) {
  std::uint32_t columns = 0;
  asm("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(columns) : "r"(rows));
  return columns;
}

/// Over the eight groups of four lanes: each lane gets the largest of those with its lane % 4.
__device__ inline float max_of_groups(float value) {
  for (int lane = 4; lane < 32; lane *= 2)
    value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, lane));
  return value;
}
__device__ inline float sum_of_groups(float value) {
  for (int lane = 4; lane < 32; lane *= 2) value += __shfl_xor_sync(0xffffffffu, value, lane);
  return value;
}

/// Sizes of the cache that kernels compute addresses with, in bytes if nothing else is said.
struct CacheSizes {
  std::int64_t block = 0;  // from block to block
  int head = 0;            // one head's keys or values of a block
  int block_scales = 0;    // floats
  int head_dim = 0;        // elements
  int padded_dim = 0;
  int tiles = 0;  // of 16 elements

  CacheSizes() = default;
  explicit CacheSizes(const kv::KvLayout& layout)
      : block(layout.block_bytes()),
        head(static_cast<int>(layout.head_bytes())),
        block_scales(static_cast<int>(layout.block_scales())),
        head_dim(static_cast<int>(layout.head_dim)),
        padded_dim(static_cast<int>(layout.padded_dim())),
        tiles(padded_dim / 16) {}
};

/// int8's scales of one head's keys (or values) of a block.
inline constexpr int kScaleBytes = kBlockTokens * 4;

/// The warp's asynchronous copies of one head's keys (or values) of a block, and of their scales.
/// The caller closes the group.
__device__ inline void copy_codes(unsigned char* to, const std::byte* from, int bytes, int lane) {
  for (int i = lane * 16; i < bytes; i += 32 * 16) cuda_device::copy_async(to + i, from + i);
}
__device__ inline void copy_scales(unsigned char* to, const float* from, int lane) {
  if (lane < kScaleBytes / 16) cuda_device::copy_async(to + lane * 16, from + lane * 4);
}

/// Kernels are compiled for head dims of 64, 80, 96 and 128, as so many tiles, and once for up to
/// 256: `kMostTiles` of which they use as many as there are.
inline constexpr int kMostTiles = 16;
template <int kTiles>
inline constexpr bool kExactTiles = kTiles < kMostTiles;

/// fn(std::integral_constant) of the tiles that a kernel is compiled for.
template <class Fn>
void with_tiles(int tiles, Fn&& fn) {
  switch (tiles) {
    case 4:
      return fn(std::integral_constant<int, 4>{});
    case 5:
      return fn(std::integral_constant<int, 5>{});
    case 6:
      return fn(std::integral_constant<int, 6>{});
    case 8:
      return fn(std::integral_constant<int, 8>{});
    default:
      return fn(std::integral_constant<int, kMostTiles>{});
  }
}

/// Codes and the scales behind them.
template <KvFormat kFormat>
__host__ __device__ constexpr int part_slot_bytes(int head_bytes) {
  return head_bytes + (kFormat == KvFormat::int8 ? kScaleBytes : 0);
}

}  // namespace plimsoll::kernels
