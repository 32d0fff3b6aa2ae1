// Products of tiles in TF32, as attention_training_cuda.cu puts them together. A warp owns 16 rows
// of a tile in shared memory and multiplies them by all rows of another, which pass by.
//
// Nothing is transposed or moved between lanes. mma.m16n8k8 leaves lane (g, t) = (lane / 4, lane %
// 4) the sums of rows g, g + 8 and columns 2t, 2t + 1, and takes operand A's columns t, t + 4.
// Which of the eight steps of k is called which is free as long as both operands agree: with k's t
// and t + 4 being rows 2t and 2t + 1 of the other tile, sums are operand A where they are. A row's
// stride of 4 modulo 32 words puts the 32 words that a warp reads into 32 banks in both products.
#pragma once

#include <cstdint>

namespace plimsoll::kernels::training {

/// What a block has for a head dim of up to kDim.
template <int kDim>
struct Tiles {
  static constexpr int kWarps = kDim > 128 ? 2 : 4;
  static constexpr int kThreads = kWarps * 32;
  static constexpr int kOwn = kWarps * 16;                             // rows that a block owns
  static constexpr int kSeen = kDim > 128 ? 16 : kDim > 64 ? 32 : 64;  // rows of a tile that passes
  static constexpr int kStride = kDim + 4;                             // of a row in shared memory
  /// Two tiles that are owned and two that pass.
  static constexpr std::size_t kShared = sizeof(float) * 2 * (kOwn + kSeen) * kStride;
};

__device__ inline std::uint32_t tf32(float value) {
  std::uint32_t bits = 0;
#if __CUDA_ARCH__ >= 800
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
#endif
  return bits;
}

/// d += a b, a [16, 8] and b [8, 8] TF32, d [16, 8] f32. Needs sm_80.
__device__ inline void mma_tf32(float (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                std::uint32_t b1) {
#if __CUDA_ARCH__ >= 800
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else
  __trap();
#endif
}

/// Rows of one head, `stride` floats from one to the next: the first `count` of kRows into `tile`,
/// times `scale`, in TF32. Rows beyond, and columns beyond `dim`, are zero.
template <int kDim, int kRows>
__device__ void load_rows(float* tile, const float* data, std::int64_t stride, std::int64_t count,
                          int dim, float scale) {
  constexpr int kQuads = kDim / 4;
#pragma unroll
  for (int at = 0; at < kRows * kQuads; at += Tiles<kDim>::kThreads) {
    const int i = at + static_cast<int>(threadIdx.x);
    const int row = i / kQuads;
    const int column = i % kQuads * 4;
    float4 value{};
    if (row < count && column < dim)
      value = *reinterpret_cast<const float4*>(data + row * stride + column);
    const uint4 bits{tf32(value.x * scale), tf32(value.y * scale), tf32(value.z * scale),
                     tf32(value.w * scale)};
    *reinterpret_cast<uint4*>(tile + row * Tiles<kDim>::kStride + column) = bits;
  }
}

/// Sums of a warp's 16 rows and kColumns columns, as mma leaves them.
template <int kColumns>
using Sums = float[kColumns / 8][4];

/// sums = own seen^T: own the warp's 16 rows, seen kSeen rows.
template <int kDim>
__device__ void multiply_transposed(Sums<Tiles<kDim>::kSeen>& sums, const float* own,
                                    const float* seen) {
  constexpr int kStride = Tiles<kDim>::kStride;
  const int g = static_cast<int>(threadIdx.x) % 32 / 4;
  const int t = static_cast<int>(threadIdx.x) % 4;
  const auto* a = reinterpret_cast<const std::uint32_t*>(own) + g * kStride + t;
  const auto* b = reinterpret_cast<const std::uint32_t*>(seen) + g * kStride + t;
#pragma unroll
  for (auto& part : sums) part[0] = part[1] = part[2] = part[3] = 0;
#pragma unroll
  for (int k = 0; k < kDim; k += 8) {
    const std::uint32_t of_own[4] = {a[k], a[8 * kStride + k], a[k + 4], a[8 * kStride + k + 4]};
#pragma unroll
    for (int n = 0; n < Tiles<kDim>::kSeen / 8; ++n)
      mma_tf32(sums[n], of_own, b[n * 8 * kStride + k], b[n * 8 * kStride + k + 4]);
  }
}

/// sums += weights seen: weights [16, kSeen] as mma left them, seen kSeen rows of which kColumns
/// columns are wanted.
template <int kDim, int kColumns>
__device__ void multiply(Sums<kColumns>& sums, const Sums<Tiles<kDim>::kSeen>& weights,
                         const float* seen) {
  constexpr int kStride = Tiles<kDim>::kStride;
  const int g = static_cast<int>(threadIdx.x) % 32 / 4;
  const int t = static_cast<int>(threadIdx.x) % 4;
  const auto* b = reinterpret_cast<const std::uint32_t*>(seen) + 2 * t * kStride + g;
#pragma unroll
  for (int k = 0; k < Tiles<kDim>::kSeen / 8; ++k) {
    const std::uint32_t a[4] = {tf32(weights[k][0]), tf32(weights[k][2]), tf32(weights[k][1]),
                                tf32(weights[k][3])};
#pragma unroll
    for (int n = 0; n < kColumns / 8; ++n)
      mma_tf32(sums[n], a, b[k * 8 * kStride + n * 8], b[(k * 8 + 1) * kStride + n * 8]);
  }
}

/// The sum, or the largest, over the four lanes that share a row.
__device__ inline float row_sum(float value) {
  value += __shfl_xor_sync(0xffffffffu, value, 1);
  return value + __shfl_xor_sync(0xffffffffu, value, 2);
}
__device__ inline float row_max(float value) {
  value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, 1));
  return fmaxf(value, __shfl_xor_sync(0xffffffffu, value, 2));
}

}  // namespace plimsoll::kernels::training
