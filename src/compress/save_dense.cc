#include "compress/save_dense.h"

#include <cmath>

#include "compress/save.h"
#include "storage/atomic_file.h"
#include "storage/checkpoint.h"
#include "storage/model_config.h"
#include "storage/safetensors_writer.h"

namespace plimsoll::compress {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kWeight = ".weight";

/// The tensor's name in this checkpoint: base-model checkpoints leave out the first component. Of a
/// quantised matrix there may be statistics alone (gptq).
std::string stored_name(const Checkpoint& checkpoint, const std::string& name) {
  if (checkpoint.has(name)) return name;
  const std::string base = name.substr(name.find('.') + 1);
  return checkpoint.has(base) ? base : name;
}

Tensor transposed(const Tensor& matrix) {
  const std::int64_t rows = matrix.dim(0), columns = matrix.dim(1);
  Tensor turned = Tensor::empty(DType::f32, {columns, rows});
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < columns; ++c)
      turned.data<float>()[c * rows + r] = matrix.data<float>()[r * columns + c];
  }
  return turned;
}

/// GPT-2's layers hold their matrices the other way round (Conv1D).
Tensor as_stored(const ModelConfig& config, const std::string& name, const Tensor& tensor) {
  const bool conv1d = config.architecture == Architecture::gpt2 && tensor.shape().size() == 2 &&
                      (name.starts_with("h.") || name.find(".h.") != std::string::npos);
  return conv1d ? transposed(tensor) : tensor;
}

Tensor rounded(const Tensor& tensor, DType dtype, const std::string& name) {
  Tensor result = converted(tensor, dtype);
  const Tensor again = converted(result, DType::f32);
  for (const float value : again.span<float>()) {
    if (!std::isfinite(value)) {
      throw InputError(name, "values", "some that are not finite once they are rounded",
                       fmt::format("ones that {} can hold", dtype_name(dtype)));
    }
  }
  return result;
}

bool is_floating(DType dtype) {
  return dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16;
}

}  // namespace

void save_dense(const fs::path& source, const ChangedTensors& changed, const fs::path& folder,
                const Progress& progress) {
  const Checkpoint checkpoint = Checkpoint::open(source);
  const ModelConfig config = load_model_config(source);
  const bool quantised = !config.quantization.is_null();
  // Replaced tensors by the name in the file, and what each is replaced by.
  std::map<std::string, std::string> replaced;
  TensorSpecs specs;
  for (const auto& [name, tensor] : changed) {
    const std::string stored = stored_name(checkpoint, name);
    const bool keeps = checkpoint.has(stored) && is_floating(checkpoint.info(stored).dtype);
    const DType dtype = keeps ? checkpoint.info(stored).dtype : config.dtype.value_or(DType::f16);
    specs.push_back({stored, {dtype, as_stored(config, stored, tensor).shape()}});
    replaced.emplace(stored, name);
  }
  /// A statistic of a matrix that is replaced: "X.absmax" beside "X.weight".
  const auto is_statistic = [&](const std::string& name) {
    for (const auto& [stored, ours] : replaced) {
      if (!stored.ends_with(kWeight)) continue;
      const std::string stem = stored.substr(0, stored.size() - kWeight.size()) + ".";
      if (name.starts_with(stem) && name != stem + "bias") return true;
    }
    return false;
  };
  for (const std::string& name : checkpoint.names()) {
    if (replaced.contains(name) || (quantised && is_statistic(name))) continue;
    specs.push_back({name, {checkpoint.info(name).dtype, checkpoint.info(name).shape}});
  }
  sort_as_reference(specs);
  SafetensorsWriter writer(folder / "model.safetensors", specs, {{"format", "pt"}});
  std::int64_t done = 0;
  const auto total = static_cast<std::int64_t>(specs.size());
  for (const auto& [name, spec] : specs) {
    report(progress, "writing", done++, total);
    const auto ours = replaced.find(name);
    if (ours == replaced.end()) {
      writer.write(name, checkpoint.tensor(name));
    } else {
      writer.write(name, rounded(as_stored(config, name, changed.at(ours->second)), spec.dtype,
                                 ours->second));
    }
  }
  writer.finish();
  report(progress, "writing", total, total);
  auto json = nlohmann::ordered_json::parse(read_text_file(source / "config.json"));
  if (quantised) json.erase("quantization_config");
  write_file_atomically(folder / "config.json", json.dump(2) + "\n");
  copy_companions(source, folder);
}

}  // namespace plimsoll::compress
