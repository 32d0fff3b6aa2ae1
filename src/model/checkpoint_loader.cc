#include "model/checkpoint_loader.h"

#include "core/threads.h"
#include "quant/rounding.h"
#include "storage/page_release.h"

namespace plimsoll {

namespace {

using quant::WeightFormat;

/// int8 and int8-dynamic differ only in what becomes of the activations.
bool has_int8_codes(WeightFormat format) {
  return format == WeightFormat::int8 || format == WeightFormat::int8_dynamic;
}

template <class T>
Tensor transposed_as(const Tensor& matrix) {
  const std::int64_t rows = matrix.dim(0);
  const std::int64_t columns = matrix.dim(1);
  Tensor result = Tensor::empty(matrix.dtype(), {columns, rows});
  const T* source = matrix.data<T>();
  T* target = result.data<T>();
  parallel_for(columns, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t column = begin; column < end; ++column) {
      for (std::int64_t row = 0; row < rows; ++row) {
        target[column * rows + row] = source[row * columns + column];
      }
    }
  });
  return result;
}

Tensor transposed(const Tensor& matrix) {
  switch (matrix.dtype()) {
    case DType::f32:
      return transposed_as<float>(matrix);
    case DType::f16:
      return transposed_as<fp16>(matrix);
    case DType::bf16:
      return transposed_as<bf16>(matrix);
    default:
      PLIMSOLL_CHECK(false, "{}", dtype_name(matrix.dtype()));
  }
}

}  // namespace

std::string CheckpointLoader::resolved(const std::string& name) const {
  if (checkpoint_.has(name)) return name;
  const std::string base = name.substr(name.find('.') + 1);
  const bool has_prefix = name.starts_with("model.") || name.starts_with("transformer.");
  return has_prefix && checkpoint_.has(base) ? base : name;
}

Tensor CheckpointLoader::floating_point(const std::string& name, const Shape& shape) const {
  const std::string tensor_name = resolved(name);
  const TensorInfo& info = checkpoint_.info(tensor_name);
  const std::string& file = checkpoint_.file_of(tensor_name).string();
  if (info.shape != shape) {
    throw InputError(file, tensor_name, "shape " + to_string(info.shape), to_string(shape));
  }
  switch (info.dtype) {
    case DType::f64:
      return converted(checkpoint_.tensor(tensor_name), DType::f32);
    case DType::f32:
    case DType::f16:
    case DType::bf16:
      return checkpoint_.tensor(tensor_name);
    default:
      throw InputError(file, tensor_name, fmt::format("dtype {}", dtype_name(info.dtype)),
                       "a floating-point one (F32, F16 or BF16)");
  }
}

std::string CheckpointLoader::blamed(const std::string& name) const {
  return checkpoint_.file_of(resolved(name)).string() + ": " + resolved(name);
}

quant::Matrix CheckpointLoader::dense(const Tensor& values, const std::string& name) const {
  const bool converts = plan_.format && quant::is_dense(*plan_.format);
  if (converts) return quant::encode(*plan_.format, values, {}, name);
  if (plan_.format) quant::require_representable(values, values.dtype(), name);
  quant::Matrix matrix;
  matrix.codes = values;
  matrix.format = quant::dense_format(matrix.codes.dtype());
  matrix.rows = values.dim(0);
  matrix.columns = values.dim(1);
  return matrix;
}

quant::Matrix CheckpointLoader::stored_matrix(const LinearSpec& spec,
                                              const std::string& module) const {
  quant::Matrix matrix = read_quantized(checkpoint_, stored_, module, spec.out, spec.in);
  const WeightFormat format = plan_.format.value_or(matrix.format);
  if (quant::is_dense(format)) {
    quant::Matrix decoded =
        dense(quant::decode(matrix), checkpoint_.directory().string() + ": " + module);
    pack(decoded, matrix.codes);
    return decoded;
  }
  if (format != matrix.format && !(has_int8_codes(format) && has_int8_codes(matrix.format))) {
    throw InputError("--weights", quant::format_name(format),
                     fmt::format("a checkpoint quantised as {}", quant::format_name(matrix.format)),
                     "a dense checkpoint, the stored format or a dense one");
  }
  matrix.format = format;
  if (format == WeightFormat::int8) {
    matrix.outlier_threshold = plan_.outlier_threshold.value_or(stored_.outlier_threshold);
    matrix.outliers_by_batch = plan_.outliers_by_batch.value_or(stored_.outliers_by_batch);
  } else if (format == WeightFormat::int8_dynamic) {
    matrix.outlier_threshold = 0;
  }
  pack(matrix, Tensor(matrix.codes));
  return matrix;
}

quant::Matrix CheckpointLoader::matrix(const LinearSpec& spec) const {
  const std::string weight = resolved(spec.name + ".weight");
  const std::string module = weight.substr(0, weight.size() - std::string_view(".weight").size());
  if (is_stored_quantized(checkpoint_, stored_, module)) return stored_matrix(spec, module);
  Tensor values = floating_point(spec.name + ".weight",
                                 spec.conv1d ? Shape{spec.in, spec.out} : Shape{spec.out, spec.in});
  const Tensor mapped = values;
  if (spec.conv1d) values = transposed(values);
  if (!plan_.quantizes(spec)) {
    quant::Matrix matrix = dense(values, blamed(weight));
    pack(matrix, mapped);
    return matrix;
  }
  quant::Matrix matrix = quant::encode(*plan_.format, values, plan_.encode, blamed(weight));
  if (on_encoded_) on_encoded_(spec.name, values, matrix);
  pack(matrix, mapped);
  release_pages(mapped);
  return matrix;
}

void CheckpointLoader::pack(quant::Matrix& matrix, const Tensor& source) const {
  if (plan_.pack && ops::pack(matrix)) release_pages(source);
}

ops::Linear CheckpointLoader::linear(const LinearSpec& spec) {
  report(progress_, "loading", done_, matrices_);
  ops::Linear layer{spec.name, matrix(spec), {}};
  if (spec.bias) layer.bias = vector(spec.name + ".bias", spec.out);
  report(progress_, "loading", ++done_, matrices_);
  return layer;
}

quant::Matrix CheckpointLoader::table(const std::string& name, std::int64_t rows,
                                      std::int64_t columns) {
  return dense(floating_point(name, {rows, columns}), blamed(name));
}

Tensor CheckpointLoader::vector(const std::string& name, std::int64_t size) {
  Tensor values = converted(floating_point(name, {size}), DType::f32);
  quant::require_representable(values, DType::f32, blamed(name));
  return values;
}

}  // namespace plimsoll
