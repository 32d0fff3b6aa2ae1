// What every gemm_* kernel takes.
#pragma once

#include <cstdint>

#include "quant/matrix.h"

namespace plimsoll::kernels {

/// How arithmetic may be done. exact: products and sums in fp32 (int8 formats: their defining
/// integer products, exactly). fast: the hardware's bf16 and int8 products may stand in.
enum class Compute : std::uint8_t { exact, fast };

/// invariant: a row's result has the same bits whatever rows are computed beside it, on however
/// many threads; kernels that cannot promise it refuse. fast: any kernel. See docs/numerics.md.
enum class Numerics : std::uint8_t { fast, invariant };

/// y = x W^T. No bias. Row r of y depends on row r of x alone (but for int8 with
/// outliers_by_batch).
struct LinearArgs {
  const float* x = nullptr;               // [rows, weight->columns], contiguous
  std::int64_t rows = 0;                  // >= 1
  const quant::Matrix* weight = nullptr;  // [out, in]
  float* y = nullptr;                     // [rows, weight->rows], contiguous, apart from x
  Compute compute = Compute::exact;
  Numerics numerics = Numerics::fast;
};

}  // namespace plimsoll::kernels
