#include "quant/int8.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/threads.h"
#include "quant/cuda_reciprocal.h"

namespace plimsoll::quant {

namespace {

// The largest magnitude below `limit`.
float largest_below(std::span<const float> values, float limit) {
  float largest = 0;
  for (const float value : values) {
    const float magnitude = std::fabs(value);
    largest = std::max(largest, magnitude < limit ? magnitude : 0.0f);
  }
  return largest;
}

void store_codes(std::span<const float> values, float limit, float scale, std::int8_t* codes) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float kept = std::fabs(values[i]) < limit ? values[i] : 0.0f;
    codes[i] = static_cast<std::int8_t>(static_cast<int>(round_even(kept * scale)));
  }
}

// 127 / absmax is not finite for zeros and for magnitudes below 2^-120, which are taken for zeros.
bool is_zero(float absmax) {
  return absmax < 0x1p-120f;
}

void static_product(const Matrix& matrix, const float* x, std::int64_t rows, float* y) {
  const std::int64_t columns = matrix.columns;
  std::vector<std::int8_t> inputs(static_cast<std::size_t>(columns));
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t c = 0; c < columns; ++c) {
      inputs[c] = quantize_static(x[row * columns + c], matrix.input_scale, matrix.input_zero);
    }
    for (std::int64_t out = 0; out < matrix.rows; ++out) {
      const auto* codes = matrix.codes.data<std::int8_t>() + out * columns;
      std::int64_t sum = 0;
      for (std::int64_t c = 0; c < columns; ++c) sum += (inputs[c] - matrix.input_zero) * codes[c];
      y[row * matrix.rows + out] = static_cast<float>(sum) * matrix.input_scale *
                                   (matrix.scales.data<float>()[out] * kInt8WeightScale);
    }
  }
}

}  // namespace

Matrix encode_int8(WeightFormat format, const Tensor& weights, const EncodeOptions& options,
                   std::string_view name) {
  Matrix matrix;
  matrix.format = format;
  matrix.rows = weights.dim(0);
  matrix.columns = weights.dim(1);
  matrix.source_dtype = options.source_dtype;
  matrix.codes = Tensor::empty(DType::i8, {matrix.rows, matrix.columns});
  matrix.scales = Tensor::empty(DType::f32, {matrix.rows});
  if (format == WeightFormat::int8) {
    matrix.outlier_threshold = options.outlier_threshold;
    matrix.outliers_by_batch = options.outliers_by_batch;
  }
  auto* codes = matrix.codes.data<std::int8_t>();
  auto* scales = matrix.scales.data<float>();
  const std::int64_t columns = matrix.columns;
  parallel_for(matrix.rows, 1 + (1 << 14) / columns, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> row(static_cast<std::size_t>(columns));
    for (std::int64_t r = begin; r < end; ++r) {
      load_weights(weights, r * columns, columns, matrix.source_dtype, name, row.data());
      const float absmax = largest_below(row, INFINITY);
      const bool zero = is_zero(absmax);
      scales[r] = zero ? 0.0f : absmax;
      // bitsandbytes' __fdividef(127, absmax).
      const float scale = zero ? 0.0f : 127.0f * cuda_reciprocal(absmax);
      store_codes(row, INFINITY, scale, codes + r * columns);
    }
  });
  return matrix;
}

void decode_int8_rows(const Matrix& matrix, std::int64_t begin, std::int64_t end, float* out) {
  const auto* codes = matrix.codes.data<std::int8_t>();
  const auto* scales = matrix.scales.data<float>();
  for (std::int64_t row = begin; row < end; ++row) {
    for (std::int64_t c = 0; c < matrix.columns; ++c) {
      *out++ = int8_weight(codes[row * matrix.columns + c], scales[row]);
    }
  }
}

float quantize_token(std::span<const float> x, float threshold, std::int8_t* codes) {
  const float limit = threshold > 0 ? threshold : INFINITY;
  const float absmax = largest_below(x, limit);
  const bool zero = is_zero(absmax);
  store_codes(x, limit, zero ? 0.0f : 127.0f / absmax, codes);
  return zero ? 0.0f : absmax;
}

std::vector<std::int32_t> outlier_columns(const float* x, std::int64_t rows, std::int64_t columns,
                                          float threshold) {
  std::vector<std::int32_t> found;
  if (threshold <= 0) return found;
  for (std::int64_t c = 0; c < columns; ++c) {
    for (std::int64_t row = 0; row < rows; ++row) {
      if (std::fabs(x[row * columns + c]) >= threshold) {
        found.push_back(static_cast<std::int32_t>(c));
        break;
      }
    }
  }
  return found;
}

float outlier_factor(float value, DType source_dtype) {
  outlier_factors(&value, 1, source_dtype);
  return value;
}

void outlier_factors(float* values, std::int64_t count, DType source_dtype) {
  if (source_dtype == DType::f16) {
    constexpr float kLargestF16 = 65504.0f;
    for (std::int64_t i = 0; i < count; ++i) {
      values[i] = std::clamp(values[i], -kLargestF16, kLargestF16);
    }
  }
  round_values(values, count, source_dtype);
}

void int8_linear_reference(const Matrix& matrix, const float* x, std::int64_t rows, float* y) {
  const std::int64_t columns = matrix.columns;
  PLIMSOLL_CHECK(columns <= 1 << 17, "{} columns", columns);
  if (matrix.format == WeightFormat::int8_static) return static_product(matrix, x, rows, y);

  const float threshold = matrix.outlier_threshold;
  std::vector<std::int32_t> outliers;
  if (matrix.outliers_by_batch) outliers = outlier_columns(x, rows, columns, threshold);
  std::vector<std::int8_t> inputs(static_cast<std::size_t>(columns));
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::span<const float> token(x + row * columns, static_cast<std::size_t>(columns));
    const float absmax = quantize_token(token, threshold, inputs.data());
    if (!matrix.outliers_by_batch) outliers = outlier_columns(token.data(), 1, columns, threshold);
    for (const std::int32_t c : outliers) inputs[c] = 0;
    for (std::int64_t out = 0; out < matrix.rows; ++out) {
      const auto* codes = matrix.codes.data<std::int8_t>() + out * columns;
      const float scale = matrix.scales.data<float>()[out];
      const std::int32_t sum =
          std::inner_product(inputs.begin(), inputs.end(), codes, std::int32_t{0});
      double decomposed = 0;
      for (const std::int32_t c : outliers) {
        decomposed += static_cast<double>(outlier_factor(token[c], matrix.source_dtype)) *
                      outlier_factor(int8_weight(codes[c], scale), matrix.source_dtype);
      }
      y[row * matrix.rows + out] = static_cast<float>(sum) * absmax * scale * kInt8ProductScale +
                                   static_cast<float>(decomposed);
    }
  }
}

}  // namespace plimsoll::quant
