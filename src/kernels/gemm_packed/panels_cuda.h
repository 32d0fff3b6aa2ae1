// Activations as the tensor cores' operand B of a product with packed weights (gemm_packed_cuda.h):
// normed where a norm is wanted, rounded, in the weights' order of columns.
//
// Columns are cut into blocks of 128 bytes a token: 64 in 16 bits, 128 in 8. Of each block the rows
// of all tokens follow each other, so that any number of tokens is one piece of memory, which is
// copied to shared memory as it is:
//
//   block 0: token 0 [8 parts of 16 bytes], token 1 [8 parts], ... ; block 1: token 0, ...
//
// Part q of token r lies at q ^ (r % 8), as wgmma wants it. Which columns a part holds is the
// format's business: packed weights are operand A as they lie, and the order of columns within a
// block is free as long as both have the same (panel_column()).
//
// nvcc reads this header: it includes none that needs fmt.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/gemm_packed/wgmma_cuda.cuh"
#include "kernels/gemv/gemv_args_cuda.h"

namespace plimsoll::kernels::gemm_packed {

using cuda_device::Operand;

inline constexpr int kBlockBytes = 128;  // of a token

PLIMSOLL_HOST_DEVICE constexpr int element_bytes(Operand operand) {
  return operand == Operand::f16 || operand == Operand::bf16 ? 2 : 1;
}
/// Columns of a block.
PLIMSOLL_HOST_DEVICE constexpr int block_columns(Operand operand) {
  return kBlockBytes / element_bytes(operand);
}

/// The packed column, within its block, of element e of word t (4 bytes) of part q.
PLIMSOLL_HOST_DEVICE constexpr int panel_column(gemv::Format format, Operand operand, int q, int t,
                                                int e) {
  using gemv::Format;
  const int step = q / 2;    // of the tensor cores: 32 bytes
  const int second = q % 2;  // a's registers 2 and 3
  if (element_bytes(operand) == 1) return 32 * step + 8 * t + 4 * second + e;
  switch (format) {
    case Format::table4:
    case Format::table4_dq:
      return 16 * t + 4 * step + 2 * second + e;
    case Format::int4:
      return 16 * t + 8 * (step / 2) + 4 * (step % 2) + second + 2 * e;
    case Format::fp8:
    case Format::int8:
    case Format::int8_static:
      return 32 * (step / 2) + 8 * t + 4 * (step % 2) + 2 * second + e;
    default:
      return 16 * step + 4 * t + 2 * second + e;
  }
}

#ifdef __CUDACC__
/// What a row in f16 is divided by: 1, or a power of two where it would not be within f16's range.
__device__ inline float f16_scale(float largest) {
  constexpr float kLarge = 32768;
  return largest <= kLarge ? 1.0f : exp2f(ceilf(log2f(largest / kLarge)));
}
#endif

/// All pointers are the device's, 16-byte aligned.
struct PanelArgs {
  const float* x = nullptr;   // [rows, columns], or
  const void* x16 = nullptr;  // the same in 16 bits,
  bool bf16 = false;          // bf16 or f16
  std::int64_t rows = 0;
  int columns = 0;  // of x
  int blocks = 0;
  const std::int32_t* gather = nullptr;  // see gemv::DeviceWeights
  /// As in gemv::Args: RMSNorm with norm [columns], LayerNorm with norm and norm_bias.
  const float* norm = nullptr;
  const float* norm_bias = nullptr;
  float epsilon = 0;
  gemv::Format format = gemv::Format::f16;
  Operand operand = Operand::f16;
  /// [blocks][padded][128] bytes; rows from `rows` on are not written.
  void* panels = nullptr;
  std::int64_t padded = 0;
  /// [rows]: what a row's sums are multiplied by. 8 bits: the row's largest magnitude over the
  /// type's. f16: 1, or a power of two for a row that would not be within its range.
  float* scales = nullptr;
  bool dependent = true;
};

void make_panels(const PanelArgs& args, cudaStream_t stream);

}  // namespace plimsoll::kernels::gemm_packed
