// Packed weights (gemv) back into a row-major matrix, for products of many rows.
#pragma once

#include "core/cuda/cublas_cuda.h"
#include "kernels/gemv/gemv_args_cuda.h"

namespace plimsoll::kernels::dequantize {

struct Args {
  const gemv::DeviceWeights* weights = nullptr;
  cuda::Element element = cuda::Element::f16;
  /// Rows [row_begin, row_end) in stored order: what quant::decode() gives, rounded to `element`.
  std::int64_t row_begin = 0;
  std::int64_t row_end = 0;
  void* out = nullptr;  // [row_end - row_begin, row_columns()], 16-byte aligned
  bool dependent = true;
};

void run(const Args& args, cudaStream_t stream);

/// Columns of a decoded row: the matrix's, and zeros up to a whole chunk.
int row_columns(const gemv::DeviceWeights& weights);

/// What to decode to for a product: f32 for fp32 weights, bf16 where bf16 was quantised (f32 on a
/// GPU before sm_80, which does not multiply bf16), f16.
cuda::Element natural_element(const gemv::DeviceWeights& weights);

}  // namespace plimsoll::kernels::dequantize
