#include "quant/matrix.h"

#include <array>
#include <cmath>

namespace plimsoll::quant {

namespace {

using enum WeightFormat;

constexpr std::array kFormats = {fp32, fp16,   bf16, int8,   int8_dynamic, int8_static, fp8,
                                 nf4,  nf4_dq, fp4,  fp4_dq, log4,         int4,        gptq};

// Field checks of one matrix, all against `name_`.
class Checker {
 public:
  Checker(const Matrix& matrix, std::string_view name) : matrix_(matrix), name_(name) {}

  void run() const {
    require(matrix_.rows > 0 && matrix_.columns > 0, "shape",
            fmt::format("[{}, {}]", matrix_.rows, matrix_.columns), "at least one row and column");
    std::int64_t count = 0;
    require(!__builtin_mul_overflow(matrix_.rows, matrix_.columns, &count), "shape",
            fmt::format("[{}, {}]", matrix_.rows, matrix_.columns), "fewer than 2^63 elements");
    switch (matrix_.format) {
      case fp32:
      case fp16:
      case bf16:
        return field("codes", matrix_.codes, dense_dtype(matrix_.format), whole());
      case int8:
      case int8_dynamic:
      case int8_static:
        return check_int8();
      case fp8:
        field("codes", matrix_.codes, DType::f8_e4m3, whole());
        return magnitudes("scales", matrix_.scales, {matrix_.rows});
      case nf4:
      case fp4:
      case log4:
        return check_block4(count, false);
      case nf4_dq:
      case fp4_dq:
        return check_block4(count, true);
      case int4:
      case gptq:
        return check_grouped();
    }
    PLIMSOLL_CHECK(false, "unknown format");
  }

 private:
  Shape whole() const { return {matrix_.rows, matrix_.columns}; }

  void require(bool condition, std::string_view what, std::string_view found,
               std::string_view expected) const {
    if (!condition) throw InputError(name_, what, found, expected);
  }

  void field(std::string_view what, const Tensor& tensor, DType dtype, const Shape& shape) const {
    require(tensor.defined(), what, "nothing", "a tensor");
    require(tensor.dtype() == dtype, what, dtype_name(tensor.dtype()), dtype_name(dtype));
    require(tensor.shape() == shape, what, to_string(tensor.shape()), to_string(shape));
  }

  void finite_field(std::string_view what, const Tensor& tensor, const Shape& shape) const {
    field(what, tensor, DType::f32, shape);
    for (const float value : tensor.span<float>()) finite(what, value);
  }

  void finite(std::string_view what, float value) const {
    if (!std::isfinite(value)) require(false, what, fmt::format("{}", value), "a finite value");
  }

  /// A largest magnitude, or what stands for one.
  void magnitudes(std::string_view what, const Tensor& tensor, const Shape& shape) const {
    finite_field(what, tensor, shape);
    for (const float value : tensor.span<float>()) {
      if (value < 0) require(false, what, fmt::format("{}", value), "0 or more");
    }
  }

  void check_int8() const {
    field("codes", matrix_.codes, DType::i8, whole());
    magnitudes("scales", matrix_.scales, {matrix_.rows});
    finite("outlier threshold", matrix_.outlier_threshold);
    require(matrix_.outlier_threshold >= 0, "outlier threshold",
            fmt::format("{}", matrix_.outlier_threshold), "0 or more");
    if (matrix_.format != int8_static) return;
    finite("input scale", matrix_.input_scale);
    require(matrix_.input_scale > 0, "input scale", fmt::format("{}", matrix_.input_scale),
            "more than 0");
    require(matrix_.input_zero >= -128 && matrix_.input_zero <= 127, "input zero point",
            fmt::format("{}", matrix_.input_zero), "-128 to 127");
  }

  // bitsandbytes knows blocks of 32 to 4096, powers of two.
  void block_size(std::string_view what, int size) const {
    require(size >= 32 && size <= 4096 && (size & (size - 1)) == 0, what, fmt::format("{}", size),
            "a power of two from 32 to 4096");
  }

  void check_block4(std::int64_t count, bool nested) const {
    require(count % 2 == 0, "shape", to_string(whole()), "an even number of elements");
    block_size("block", matrix_.block);
    const std::int64_t blocks = (count - 1) / matrix_.block + 1;
    field("codes", matrix_.codes, DType::u8, {count / 2, 1});
    finite_field("table", matrix_.table, {16});
    if (!nested) return magnitudes("scales", matrix_.scales, {blocks});
    block_size("nested block", matrix_.nested_block);
    field("scales", matrix_.scales, DType::u8, {blocks});
    magnitudes("nested scales", matrix_.nested_scales, {(blocks - 1) / matrix_.nested_block + 1});
    finite_field("nested table", matrix_.nested_table, {256});
    const auto table = matrix_.nested_table.span<float>();
    for (std::size_t i = 1; i < table.size(); ++i) {
      require(table[i - 1] < table[i], "nested table",
              fmt::format("{} after {}", table[i], table[i - 1]), "ascending values");
    }
    finite("nested offset", matrix_.nested_offset);
  }

  void check_grouped() const {
    require(matrix_.rows % 8 == 0 && matrix_.columns % 8 == 0, "shape", to_string(whole()),
            "multiples of 8");
    require(matrix_.block > 0, "group", fmt::format("{}", matrix_.block), "more than 0");
    const std::int64_t groups = (matrix_.columns - 1) / matrix_.block + 1;
    field("codes", matrix_.codes, DType::i32, {matrix_.columns / 8, matrix_.rows});
    field("scales", matrix_.scales, DType::f16, {groups, matrix_.rows});
    for (const plimsoll::fp16 scale : matrix_.scales.span<plimsoll::fp16>()) {
      finite("scales", to_float(scale));
    }
    field("zeros", matrix_.zeros, DType::i32, {groups, matrix_.rows / 8});
    field("group index", matrix_.group_index, DType::i32, {matrix_.columns});
    for (const std::int32_t group : matrix_.group_index.span<std::int32_t>()) {
      require(group >= 0 && group < groups, "group index", fmt::format("{}", group),
              fmt::format("0 to {}", groups - 1));
    }
  }

  const Matrix& matrix_;
  std::string_view name_;
};

}  // namespace

std::string_view format_name(WeightFormat format) {
  switch (format) {
    case fp32:
      return "fp32";
    case fp16:
      return "fp16";
    case bf16:
      return "bf16";
    case int8:
      return "int8";
    case int8_dynamic:
      return "int8-dynamic";
    case int8_static:
      return "int8-static";
    case fp8:
      return "fp8";
    case nf4:
      return "nf4";
    case nf4_dq:
      return "nf4-dq";
    case fp4:
      return "fp4";
    case fp4_dq:
      return "fp4-dq";
    case log4:
      return "log4";
    case int4:
      return "int4";
    case gptq:
      return "gptq";
  }
  PLIMSOLL_CHECK(false, "unknown format");
}

WeightFormat format_from_name(std::string_view name, std::string_view where) {
  std::string known;
  for (const WeightFormat format : kFormats) {
    if (name == format_name(format)) return format;
    known += known.empty() ? "" : ", ";
    known += format_name(format);
  }
  throw InputError(where, "weight format", name, known);
}

std::span<const WeightFormat> all_formats() {
  return kFormats;
}

bool is_dense(WeightFormat format) {
  return format == fp32 || format == fp16 || format == bf16;
}

DType dense_dtype(WeightFormat format) {
  switch (format) {
    case fp32:
      return DType::f32;
    case fp16:
      return DType::f16;
    case bf16:
      return DType::bf16;
    default:
      PLIMSOLL_CHECK(false, "{} is not dense", format_name(format));
  }
}

WeightFormat dense_format(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return fp32;
    case DType::f16:
      return fp16;
    case DType::bf16:
      return bf16;
    default:
      PLIMSOLL_CHECK(false, "no dense format of {}", dtype_name(dtype));
  }
}

std::int64_t matrix_bytes(const Matrix& matrix) {
  std::size_t bytes = 0;
  for (const Tensor* tensor : {&matrix.codes, &matrix.scales, &matrix.table, &matrix.nested_scales,
                               &matrix.nested_table, &matrix.zeros, &matrix.group_index}) {
    if (tensor->defined()) bytes += tensor->bytes();
  }
  return static_cast<std::int64_t>(bytes);
}

double bits_per_weight(const Matrix& matrix) {
  return 8.0 * static_cast<double>(matrix_bytes(matrix)) /
         (static_cast<double>(matrix.rows) * static_cast<double>(matrix.columns));
}

void check_matrix(const Matrix& matrix, std::string_view name) {
  Checker(matrix, name).run();
}

}  // namespace plimsoll::quant
