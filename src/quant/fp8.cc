#include "quant/fp8.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "core/threads.h"
#include "quant/rounding.h"

namespace plimsoll::quant {

Matrix encode_fp8(const Tensor& weights, std::string_view name) {
  Matrix matrix;
  matrix.format = WeightFormat::fp8;
  matrix.rows = weights.dim(0);
  matrix.columns = weights.dim(1);
  matrix.source_dtype = weights.dtype();
  matrix.codes = Tensor::empty(DType::f8_e4m3, {matrix.rows, matrix.columns});
  matrix.scales = Tensor::empty(DType::f32, {matrix.rows});
  auto* codes = matrix.codes.data<fp8_e4m3>();
  auto* scales = matrix.scales.data<float>();
  const std::int64_t columns = matrix.columns;
  parallel_for(matrix.rows, 1 + (1 << 14) / columns, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> row(static_cast<std::size_t>(columns));
    for (std::int64_t r = begin; r < end; ++r) {
      load_weights(weights, r * columns, columns, weights.dtype(), name, row.data());
      float absmax = 0;
      for (const float value : row) absmax = std::max(absmax, std::fabs(value));
      // 0 for a row of zeros, and where the quotient underflows: its values are below 2^-140.
      const float scale = absmax / kFp8Max;
      scales[r] = scale > 0 ? scale : 1.0f;
      for (std::int64_t c = 0; c < columns; ++c) {
        codes[r * columns + c] = to_fp8_e4m3(row[c] / scales[r]);
      }
    }
  });
  return matrix;
}

void decode_fp8_rows(const Matrix& matrix, std::int64_t begin, std::int64_t end, float* out) {
  const auto* codes = matrix.codes.data<fp8_e4m3>();
  const auto* scales = matrix.scales.data<float>();
  for (std::int64_t row = begin; row < end; ++row) {
    for (std::int64_t c = 0; c < matrix.columns; ++c) {
      *out++ = to_float(codes[row * matrix.columns + c]) * scales[row];
    }
  }
}

}  // namespace plimsoll::quant
