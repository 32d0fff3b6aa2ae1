#include "quant/codec.h"

#include <algorithm>

#include "core/threads.h"
#include "quant/block4.h"
#include "quant/fp8.h"
#include "quant/int4.h"
#include "quant/int8.h"
#include "quant/rounding.h"

namespace plimsoll::quant {

namespace {

Matrix encode_dense(WeightFormat format, const Tensor& weights, std::string_view name) {
  Matrix matrix;
  matrix.format = format;
  matrix.rows = weights.dim(0);
  matrix.columns = weights.dim(1);
  matrix.source_dtype = dense_dtype(format);
  require_representable(weights, matrix.source_dtype, name);
  matrix.codes = converted(weights, matrix.source_dtype);
  return matrix;
}

void decode_dense_rows(const Matrix& matrix, std::int64_t begin, std::int64_t end, float* out) {
  const Tensor rows = converted(matrix.codes.rows(begin, end), DType::f32);
  std::copy_n(rows.data<float>(), rows.size(), out);
}

}  // namespace

Support can_hold(WeightFormat format, std::int64_t rows, std::int64_t columns,
                 const EncodeOptions& options) {
  if (rows <= 0 || columns <= 0) return Support::no("a matrix needs at least one row and column");
  switch (format) {
    case WeightFormat::nf4:
    case WeightFormat::nf4_dq:
    case WeightFormat::fp4:
    case WeightFormat::fp4_dq:
    case WeightFormat::log4:
      if (rows % 2 != 0 && columns % 2 != 0) {
        return Support::no(fmt::format(
            "two codes share a byte, so {} x {} elements must be an even number", rows, columns));
      }
      return Support::yes();
    case WeightFormat::int4:
    case WeightFormat::gptq:
      if (rows % 8 != 0 || columns % 8 != 0) {
        return Support::no(fmt::format(
            "eight codes share a word, so rows and columns must be multiples of 8, not {} x {}",
            rows, columns));
      }
      if (format == WeightFormat::int4 && options.group != 32 && options.group != 64 &&
          options.group != 128) {
        return Support::no(fmt::format("the group must be 32, 64 or 128, not {}", options.group));
      }
      return Support::yes();
    case WeightFormat::int8:
    case WeightFormat::int8_dynamic:
    case WeightFormat::int8_static:
      if (columns > 1 << 17) {
        return Support::no(fmt::format(
            "a sum of {} int8 products may overflow int32 (at most {} columns)", columns, 1 << 17));
      }
      return Support::yes();
    default:
      return Support::yes();
  }
}

Matrix encode(WeightFormat format, const Tensor& weights, const EncodeOptions& options,
              std::string_view name) {
  require_matrix(weights, name);
  const Support support = can_hold(format, weights.dim(0), weights.dim(1), options);
  if (!support) {
    throw InputError(fmt::format("{}: {}: {}", name, format_name(format), support.reason));
  }
  switch (format) {
    case WeightFormat::fp32:
    case WeightFormat::fp16:
    case WeightFormat::bf16:
      return encode_dense(format, weights, name);
    case WeightFormat::int8:
    case WeightFormat::int8_dynamic:
    case WeightFormat::int8_static:
      return encode_int8(format, weights, options, name);
    case WeightFormat::fp8:
      return encode_fp8(weights, name);
    case WeightFormat::nf4:
    case WeightFormat::nf4_dq:
    case WeightFormat::fp4:
    case WeightFormat::fp4_dq:
    case WeightFormat::log4:
      return encode_block4(format, weights, options, name);
    case WeightFormat::int4:
      return encode_int4(weights, options, name);
    case WeightFormat::gptq:
      break;
  }
  PLIMSOLL_CHECK(false, "{}: encode_gptq() takes a Hessian", name);
}

void decode_rows(const Matrix& matrix, std::int64_t begin, std::int64_t end, float* out) {
  PLIMSOLL_CHECK(0 <= begin && begin <= end && end <= matrix.rows, "rows {}..{} of {}", begin, end,
                 matrix.rows);
  switch (matrix.format) {
    case WeightFormat::fp32:
    case WeightFormat::fp16:
    case WeightFormat::bf16:
      return decode_dense_rows(matrix, begin, end, out);
    case WeightFormat::int8:
    case WeightFormat::int8_dynamic:
    case WeightFormat::int8_static:
      return decode_int8_rows(matrix, begin, end, out);
    case WeightFormat::fp8:
      return decode_fp8_rows(matrix, begin, end, out);
    case WeightFormat::nf4:
    case WeightFormat::nf4_dq:
    case WeightFormat::fp4:
    case WeightFormat::fp4_dq:
    case WeightFormat::log4:
      return decode_block4_rows(matrix, begin, end, out);
    case WeightFormat::int4:
    case WeightFormat::gptq:
      return decode_grouped_rows(matrix, begin, end, out);
  }
  PLIMSOLL_CHECK(false, "unknown format");
}

Tensor decode(const Matrix& matrix) {
  Tensor weights = Tensor::empty(DType::f32, {matrix.rows, matrix.columns});
  auto* out = weights.data<float>();
  const std::int64_t grain = 1 + (1 << 14) / matrix.columns;
  parallel_for(matrix.rows, grain, [&](std::int64_t begin, std::int64_t end) {
    decode_rows(matrix, begin, end, out + begin * matrix.columns);
  });
  return weights;
}

}  // namespace plimsoll::quant
