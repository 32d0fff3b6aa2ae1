// y = x W^T on any GPU and for any width, of few rows: where gemv does not do. Each weight is
// decoded to f32 in registers and multiplied there; bound by the ordinary units, not by memory.
#pragma once

#include "kernels/gemv/gemv_args_cuda.h"

namespace plimsoll::kernels::gemv_general {

/// Bytes of gemv::Args::scratch for so many rows.
std::size_t scratch_bytes(const gemv::DeviceWeights& weights, std::int64_t rows);

/// As gemv::run(), with any number of columns. Weights as they are decoded, x not rounded (also
/// before int8 and fp8), products and sums in fp32. A row's result depends on no other row.
void run(const gemv::Args& args, cudaStream_t stream);

}  // namespace plimsoll::kernels::gemv_general
