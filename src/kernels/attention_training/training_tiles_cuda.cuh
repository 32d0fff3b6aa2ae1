// Products of tiles in TF32, as attention_training_cuda.cu puts them together. A warp owns rows of
// a tile in shared memory and multiplies them by all rows of another, which pass by.
//
// Nothing is transposed or moved between lanes. mma.m16n8k8 leaves lane (g, t) = (lane / 4, lane %
// 4) the sums of rows g, g + 8 and columns 2t, 2t + 1, and takes operand A's columns t, t + 4.
// Which of the eight steps of k is called which is free as long as both operands agree: with k's t
// and t + 4 being rows 2t and 2t + 1 of the other tile, sums are operand A where they are. A row's
// stride of 4 modulo 32 words puts the 32 words that a warp reads into 32 banks in both products.
#pragma once

#include <cstdint>

#include "kernels/cuda/device_cuda.cuh"

namespace plimsoll::kernels::training {

/// What a block has for a head dim of up to kDim. kRoomy: where a block may have 227 KB of shared
/// memory, as on sm_90, so that the next tiles are on their way while one is multiplied; otherwise
/// it does with 99 KB.
template <int kHeadDim, bool kRoomy>
struct Tiles {
  static constexpr int kDim = kHeadDim;
  static constexpr int kWarps = kDim <= 64 ? 4 : (kRoomy ? 2 : 1) * (kDim <= 128 ? 4 : 2);
  static constexpr int kThreads = kWarps * 32;
  /// Times 16 rows that a warp owns: what it reads of a passing tile serves all of them.
  static constexpr int kFolds = kDim <= 64 ? 2 : 1;
  static constexpr int kWarpRows = 16 * kFolds;
  static constexpr int kOwn = kWarps * kWarpRows;      // rows that a block owns
  static constexpr int kSeen = kDim <= 128 ? 32 : 16;  // rows of a tile that passes
  static constexpr int kBuffers = kRoomy ? 2 : 1;      // for tiles that pass
  static constexpr int kStride = kDim + 4;             // of a row in shared memory
  static constexpr int kOwnSize = kOwn * kStride;      // floats of a tile
  static constexpr int kSeenSize = kSeen * kStride;

  /// Bytes for so many tiles that are owned, and two that pass.
  static constexpr std::size_t shared_bytes(int owned) {
    return sizeof(float) * (owned * kOwnSize + kBuffers * 2 * kSeenSize);
  }
  /// Sums of a warp's rows and kColumns columns, as mma leaves them.
  template <int kColumns>
  using Sums = float[kFolds][kColumns / 8][4];
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

/// 4 bytes from global to shared memory, as cuda_device::copy_async() does 16.
__device__ inline void copy_word_async(float* shared, const float* global) {
#if __CUDA_ARCH__ >= 800
  const auto to = static_cast<std::uint32_t>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(to), "l"(global) : "memory");
#else
  *shared = *global;
#endif
}

/// piece(row, column) for every four columns of kRows rows, spread over the block: a thread has the
/// same ones each time.
template <class T, int kRows, class Piece>
__device__ void for_each_piece(const Piece& piece) {
  constexpr int kQuads = T::kDim / 4;
#pragma unroll
  for (int at = 0; at < kRows * kQuads; at += T::kThreads) {
    const int i = at + static_cast<int>(threadIdx.x);
    piece(i / kQuads, i % kQuads * 4);
  }
}

/// Requests rows of one head, `stride` floats from one to the next: the first `count` of kRows, as
/// they are, into `tile`. Rows beyond, and columns beyond `dim`, are zero.
template <class T, int kRows>
__device__ void request_rows(float* tile, const float* data, std::int64_t stride,
                             std::int64_t count, int dim) {
  for_each_piece<T, kRows>([&](int row, int column) {
    float* const to = tile + row * T::kStride + column;
    if (row < count && column < dim) {
      cuda_device::copy_async(to, data + row * stride + column);
    } else {
      *reinterpret_cast<float4*>(to) = {};
    }
  });
}

/// What this thread has requested of a tile, once it is there, times `scale`, in TF32.
template <class T, int kRows>
__device__ void round_rows(float* tile, float scale) {
  for_each_piece<T, kRows>([&](int row, int column) {
    auto* const at = reinterpret_cast<float4*>(tile + row * T::kStride + column);
    const float4 value = *at;
    *reinterpret_cast<uint4*>(at) = {tf32(value.x * scale), tf32(value.y * scale),
                                     tf32(value.z * scale), tf32(value.w * scale)};
  });
}

/// sums = own seen^T: own the warp's rows, seen kSeen rows.
template <class T>
__device__ void multiply_transposed(typename T::template Sums<T::kSeen>& sums, const float* own,
                                    const float* seen) {
  const int g = static_cast<int>(threadIdx.x) % 32 / 4;
  const int t = static_cast<int>(threadIdx.x) % 4;
  const auto* const a = reinterpret_cast<const std::uint32_t*>(own) + g * T::kStride + t;
  const auto* const b = reinterpret_cast<const std::uint32_t*>(seen) + g * T::kStride + t;
#pragma unroll
  for (auto& fold : sums) {
#pragma unroll
    for (auto& part : fold) part[0] = part[1] = part[2] = part[3] = 0;
  }
#pragma unroll
  for (int k = 0; k < T::kDim; k += 8) {
    std::uint32_t of_own[T::kFolds][4];
#pragma unroll
    for (int fold = 0; fold < T::kFolds; ++fold) {
#pragma unroll
      for (int i = 0; i < 4; ++i)
        of_own[fold][i] = a[(fold * 16 + i % 2 * 8) * T::kStride + k + i / 2 * 4];
    }
#pragma unroll
    for (int n = 0; n < T::kSeen / 8; ++n) {
      const std::uint32_t b0 = b[n * 8 * T::kStride + k];
      const std::uint32_t b1 = b[n * 8 * T::kStride + k + 4];
#pragma unroll
      for (int fold = 0; fold < T::kFolds; ++fold) mma_tf32(sums[fold][n], of_own[fold], b0, b1);
    }
  }
}

/// sums += weights seen: weights as mma left them, seen kSeen rows of which kColumns columns are
/// wanted.
template <class T, int kColumns>
__device__ void multiply(typename T::template Sums<kColumns>& sums,
                         const typename T::template Sums<T::kSeen>& weights, const float* seen) {
  const int g = static_cast<int>(threadIdx.x) % 32 / 4;
  const int t = static_cast<int>(threadIdx.x) % 4;
  const auto* const b = reinterpret_cast<const std::uint32_t*>(seen) + 2 * t * T::kStride + g;
#pragma unroll
  for (int k = 0; k < T::kSeen / 8; ++k) {
    std::uint32_t a[T::kFolds][4];
#pragma unroll
    for (int fold = 0; fold < T::kFolds; ++fold) {
#pragma unroll
      for (int i = 0; i < 4; ++i) a[fold][i] = tf32(weights[fold][k][i % 2 * 2 + i / 2]);
    }
#pragma unroll
    for (int n = 0; n < kColumns / 8; ++n) {
      const std::uint32_t b0 = b[k * 8 * T::kStride + n * 8];
      const std::uint32_t b1 = b[(k * 8 + 1) * T::kStride + n * 8];
#pragma unroll
      for (int fold = 0; fold < T::kFolds; ++fold) mma_tf32(sums[fold][n], a[fold], b0, b1);
    }
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
