// Activations for a product: a norm, if one is wanted, then rounding to 16 bits or none, in the
// order and with the padding that weights have.
#pragma once

#include "core/cuda/cublas_cuda.h"

namespace plimsoll::kernels::round_rows {

/// All pointers are the device's, 16-byte aligned.
struct Args {
  const float* x = nullptr;   // [rows, columns], contiguous
  const void* x16 = nullptr;  // the same in 16 bits instead,
  bool bf16 = false;          // bf16 or f16
  std::int64_t rows = 0;
  int columns = 0;
  /// As in gemv::Args: RMSNorm with norm [columns], LayerNorm with norm and norm_bias.
  const float* norm = nullptr;
  const float* norm_bias = nullptr;
  float epsilon = 0;
  cuda::Element element = cuda::Element::f16;
  /// Columns of the result, 0: as many. Column c of it is column gather[c] of x, nullptr: c itself;
  /// where x has none (-1, or beyond its last) 0.
  int out_columns = 0;
  const std::int32_t* gather = nullptr;
  void* out = nullptr;  // [rows, out_columns]; f16: beyond its range the largest f16
  bool dependent = true;
};

void run(const Args& args, cudaStream_t stream);

}  // namespace plimsoll::kernels::round_rows
