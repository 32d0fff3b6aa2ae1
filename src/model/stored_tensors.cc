// Tensors of quantised modules: names, shapes and the quant_state JSON, read and written.
#include <cmath>
#include <cstring>

#include "core/quote.h"
#include "model/stored_quantization.h"
#include "quant/block4.h"
#include "storage/json.h"

namespace plimsoll {

namespace {

using quant::Matrix;
using quant::WeightFormat;
using Method = StoredQuantization::Method;

bool is_nested(WeightFormat format) {
  return format == WeightFormat::nf4_dq || format == WeightFormat::fp4_dq;
}

/// As quant_state JSON names it.
std::string_view quant_type(WeightFormat format) {
  return format == WeightFormat::log4                                    ? "log4"
         : format == WeightFormat::nf4 || format == WeightFormat::nf4_dq ? "nf4"
                                                                         : "fp4";
}

std::string quant_state_name(const std::string& module, WeightFormat format) {
  return fmt::format("{}.weight.quant_state.{}__{}", module,
                     format == WeightFormat::log4 ? "plimsoll" : "bitsandbytes",
                     quant_type(format));
}

std::string_view torch_dtype_name(DType dtype) {
  return dtype == DType::f16 ? "float16" : dtype == DType::bf16 ? "bfloat16" : "float32";
}

/// A tensor that must have this dtype; its shape is checked by check_matrix().
Tensor typed(const Checkpoint& checkpoint, const std::string& name, DType dtype) {
  const TensorInfo& info = checkpoint.info(name);
  if (info.dtype != dtype) {
    throw InputError(checkpoint.file_of(name).string(), name,
                     fmt::format("dtype {}", dtype_name(info.dtype)), dtype_name(dtype));
  }
  return checkpoint.tensor(name);
}

/// Statistics in any floating-point dtype, as f32, which holds them all.
Tensor as_f32(const Checkpoint& checkpoint, const std::string& name) {
  const DType dtype = checkpoint.info(name).dtype;
  if (dtype != DType::f16 && dtype != DType::bf16) return typed(checkpoint, name, DType::f32);
  return converted(checkpoint.tensor(name), DType::f32);
}

Tensor flattened(const Tensor& tensor) {
  return tensor.reshaped({tensor.size()});
}

/// The levels must be the format's own: bitsandbytes decodes by these whatever the file says.
void check_levels(const Tensor& table, WeightFormat format, const std::string& where) {
  constexpr float kOtherRounding = 1e-4f;
  const std::span<const float> levels = quant::block4_levels(format);
  if (table.shape() != Shape{16})
    throw InputError(where, "shape", to_string(table.shape()), "[16]");
  for (std::size_t i = 0; i < levels.size(); ++i) {
    const float found = table.data<float>()[i];
    if (!(std::fabs(found - levels[i]) <= kOtherRounding)) {
      throw InputError(where, fmt::format("level {}", i), fmt::format("{}", found),
                       fmt::format("{}, {}'s", levels[i], quant_type(format)));
    }
  }
}

Matrix read_block4(const Checkpoint& checkpoint, WeightFormat format, const std::string& name,
                   std::int64_t rows, std::int64_t columns) {
  const std::string weight = name + ".weight";
  const std::string state_name = quant_state_name(name, format);
  const Tensor state_bytes = typed(checkpoint, state_name, DType::u8);
  const std::string where = checkpoint.file_of(state_name).string() + ": " + state_name;
  const nlohmann::json state = parse_json(
      std::string_view(reinterpret_cast<const char*>(state_bytes.raw()), state_bytes.bytes()),
      where);
  const nlohmann::json& shape = require_array(state, "shape", where);
  if (shape != nlohmann::json{rows, columns}) {
    throw InputError(where, "shape", shape.dump(), to_string({rows, columns}));
  }
  const std::string type = require_string(state, "quant_type", where);
  if (type != quant_type(format)) {
    throw InputError(where, "quant_type", quote(type),
                     fmt::format("\"{}\", as config.json says", quant_type(format)));
  }
  Matrix matrix;
  matrix.format = format;
  matrix.rows = rows;
  matrix.columns = columns;
  matrix.block = static_cast<int>(require_int(state, "blocksize", where, 1, 1 << 20));
  const std::string dtype = require_string(state, "dtype", where);
  if (dtype != "float16" && dtype != "bfloat16" && dtype != "float32") {
    throw InputError(where, "dtype", quote(dtype), "float16, bfloat16 or float32");
  }
  matrix.source_dtype = dtype == "float16"    ? DType::f16
                        : dtype == "bfloat16" ? DType::bf16
                                              : DType::f32;
  const Tensor codes = typed(checkpoint, weight, DType::u8);
  matrix.codes = codes.reshaped({codes.size(), 1});
  matrix.table = typed(checkpoint, weight + ".quant_map", DType::f32);
  check_levels(matrix.table, format,
               checkpoint.file_of(weight).string() + ": " + weight + ".quant_map");
  if (is_nested(format)) {
    const std::string nested_dtype = require_string(state, "nested_dtype", where);
    if (nested_dtype != "float32")
      throw InputError(where, "nested_dtype", quote(nested_dtype), "\"float32\"");
    matrix.scales = flattened(typed(checkpoint, weight + ".absmax", DType::u8));
    matrix.nested_scales = typed(checkpoint, weight + ".nested_absmax", DType::f32);
    matrix.nested_table = typed(checkpoint, weight + ".nested_quant_map", DType::f32);
    matrix.nested_block =
        static_cast<int>(require_int(state, "nested_blocksize", where, 1, 1 << 20));
    matrix.nested_offset = static_cast<float>(require_number(state, "nested_offset", where));
  } else {
    matrix.scales = flattened(as_f32(checkpoint, weight + ".absmax"));
  }
  return matrix;
}

Matrix read_int8(const Checkpoint& checkpoint, const StoredQuantization& stored,
                 const std::string& name, std::int64_t rows, std::int64_t columns) {
  Matrix matrix;
  matrix.format = stored.format;
  matrix.rows = rows;
  matrix.columns = columns;
  matrix.codes = typed(checkpoint, name + ".weight", DType::i8);
  matrix.scales = flattened(as_f32(checkpoint, name + ".SCB"));
  const std::string layout = name + ".weight_format";
  if (checkpoint.has(layout)) {
    const Tensor format = typed(checkpoint, layout, DType::u8);
    if (format.size() != 1 || format.data<std::uint8_t>()[0] != 0) {
      throw InputError(checkpoint.file_of(layout).string(), layout, "another layout",
                       "0 (row by row)");
    }
  }
  matrix.source_dtype = stored.source_dtype;
  if (stored.format == WeightFormat::int8) {
    matrix.outlier_threshold = stored.outlier_threshold;
    matrix.outliers_by_batch = stored.outliers_by_batch;
  }
  if (stored.format == WeightFormat::int8_static) {
    const Tensor scale = typed(checkpoint, name + ".input_scale", DType::f32);
    const Tensor zero = typed(checkpoint, name + ".input_zero_point", DType::i32);
    if (scale.size() != 1 || zero.size() != 1) {
      throw InputError(checkpoint.file_of(name + ".input_scale").string(), name + ".input_scale",
                       to_string(scale.shape()), "one value");
    }
    matrix.input_scale = scale.data<float>()[0];
    matrix.input_zero = zero.data<std::int32_t>()[0];
  }
  return matrix;
}

/// Without act-order a file may leave them out: column i is in group i / block.
Tensor groups_in_order(std::int64_t columns, int block) {
  Tensor groups = Tensor::empty(DType::i32, {columns});
  for (std::int64_t i = 0; i < columns; ++i)
    groups.data<std::int32_t>()[i] = static_cast<std::int32_t>(i / block);
  return groups;
}

Matrix read_grouped(const Checkpoint& checkpoint, const StoredQuantization& stored,
                    const std::string& name, std::int64_t rows, std::int64_t columns) {
  Matrix matrix;
  matrix.format = stored.format;
  matrix.rows = rows;
  matrix.columns = columns;
  matrix.block = stored.group > 0 ? stored.group : static_cast<int>(columns);
  matrix.codes = typed(checkpoint, name + ".qweight", DType::i32);
  matrix.zeros = typed(checkpoint, name + ".qzeros", DType::i32);
  matrix.scales = typed(checkpoint, name + ".scales", DType::f16);
  matrix.group_index = checkpoint.has(name + ".g_idx")
                           ? typed(checkpoint, name + ".g_idx", DType::i32)
                           : groups_in_order(columns, matrix.block);
  return matrix;
}

Tensor bytes_tensor(std::string_view text) {
  Tensor tensor = Tensor::empty(DType::u8, {static_cast<std::int64_t>(text.size())});
  std::memcpy(tensor.raw(), text.data(), text.size());
  return tensor;
}

template <class T>
Tensor one(T value) {
  return Tensor::from<T>(std::span<const T>(&value, 1), {1});
}

/// As Python's json.dumps writes it, key for key.
std::string quant_state(const Matrix& matrix) {
  std::string state =
      fmt::format(R"({{"quant_type": "{}", "blocksize": {}, "dtype": "{}", "shape": [{}, {}])",
                  quant_type(matrix.format), matrix.block, torch_dtype_name(matrix.source_dtype),
                  matrix.rows, matrix.columns);
  if (is_nested(matrix.format)) {
    state +=
        fmt::format(R"(, "nested_blocksize": {}, "nested_dtype": "float32", "nested_offset": {})",
                    matrix.nested_block, static_cast<double>(matrix.nested_offset));
  }
  return state + "}";
}

}  // namespace

bool is_stored_quantized(const Checkpoint& checkpoint, const StoredQuantization& stored,
                         const std::string& name) {
  switch (stored.method) {
    case Method::none:
      return false;
    case Method::gptq:
      return checkpoint.has(name + ".qweight");
    case Method::bitsandbytes:
    case Method::plimsoll:
      break;
  }
  const std::string weight = name + ".weight";
  if (!checkpoint.has(weight)) return false;
  const DType dtype = checkpoint.info(weight).dtype;
  return dtype == DType::u8 || dtype == DType::i8 || dtype == DType::f8_e4m3;
}

Matrix read_quantized(const Checkpoint& checkpoint, const StoredQuantization& stored,
                      const std::string& name, std::int64_t rows, std::int64_t columns) {
  Matrix matrix;
  switch (stored.format) {
    case WeightFormat::nf4:
    case WeightFormat::nf4_dq:
    case WeightFormat::fp4:
    case WeightFormat::fp4_dq:
    case WeightFormat::log4:
      matrix = read_block4(checkpoint, stored.format, name, rows, columns);
      break;
    case WeightFormat::int8:
    case WeightFormat::int8_dynamic:
    case WeightFormat::int8_static:
      matrix = read_int8(checkpoint, stored, name, rows, columns);
      break;
    case WeightFormat::int4:
    case WeightFormat::gptq:
      matrix = read_grouped(checkpoint, stored, name, rows, columns);
      break;
    case WeightFormat::fp8:
      matrix.format = WeightFormat::fp8;
      matrix.rows = rows;
      matrix.columns = columns;
      matrix.codes = typed(checkpoint, name + ".weight", DType::f8_e4m3);
      matrix.scales = flattened(typed(checkpoint, name + ".weight_scale", DType::f32));
      break;
    default:
      PLIMSOLL_CHECK(false, "{} is dense", quant::format_name(stored.format));
  }
  quant::check_matrix(matrix, checkpoint.directory().string() + ": " + name);
  return matrix;
}

std::vector<std::pair<std::string, Tensor>> stored_tensors(const Matrix& matrix,
                                                           const std::string& name) {
  const std::string weight = name + ".weight";
  switch (matrix.format) {
    case WeightFormat::nf4:
    case WeightFormat::nf4_dq:
    case WeightFormat::fp4:
    case WeightFormat::fp4_dq:
    case WeightFormat::log4: {
      std::vector<std::pair<std::string, Tensor>> tensors{
          {weight, matrix.codes},
          {weight + ".absmax", matrix.scales},
          {weight + ".quant_map", matrix.table},
          {quant_state_name(name, matrix.format), bytes_tensor(quant_state(matrix))}};
      if (is_nested(matrix.format)) {
        tensors.emplace_back(weight + ".nested_absmax", matrix.nested_scales);
        tensors.emplace_back(weight + ".nested_quant_map", matrix.nested_table);
      }
      return tensors;
    }
    case WeightFormat::int8:
    case WeightFormat::int8_dynamic:
    case WeightFormat::int8_static: {
      std::vector<std::pair<std::string, Tensor>> tensors{
          {weight, matrix.codes},
          {name + ".SCB", matrix.scales},
          {name + ".weight_format", Tensor::zeros(DType::u8, {})}};
      if (matrix.format == WeightFormat::int8_static) {
        tensors.emplace_back(name + ".input_scale", one<float>(matrix.input_scale));
        tensors.emplace_back(name + ".input_zero_point", one<std::int32_t>(matrix.input_zero));
      }
      return tensors;
    }
    case WeightFormat::int4:
    case WeightFormat::gptq:
      return {{name + ".qweight", matrix.codes},
              {name + ".qzeros", matrix.zeros},
              {name + ".scales", matrix.scales},
              {name + ".g_idx", matrix.group_index}};
    case WeightFormat::fp8:
      return {{weight, matrix.codes}, {name + ".weight_scale", matrix.scales}};
    default:
      PLIMSOLL_CHECK(false, "{} is dense", quant::format_name(matrix.format));
  }
}

}  // namespace plimsoll
