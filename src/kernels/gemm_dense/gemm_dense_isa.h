// What the ISA files of gemm_dense implement. Raw pointers only, since they include this.
#pragma once

#include <cstdint>

namespace plimsoll::kernels {

/// One thread's share: output columns [begin, end) of every row. `weights` is the whole matrix in
/// the dtype that the name says; `stride` is columns of W.
using DenseRowsKernel = void (*)(const float* x, std::int64_t rows, const void* weights,
                                 std::int64_t columns, std::int64_t begin, std::int64_t end,
                                 float* y, std::int64_t y_stride);
struct DenseRowsKernels {
  DenseRowsKernel f32, f16, bf16;
};
extern const DenseRowsKernels kDenseRowsAvx2;
extern const DenseRowsKernels kDenseRowsAvx512;

}  // namespace plimsoll::kernels
