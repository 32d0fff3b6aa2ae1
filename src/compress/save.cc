#include "compress/save.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <map>
#include <set>
#include <system_error>

#include "model/unknown_tensors.h"
#include "quant/rounding.h"
#include "storage/atomic_file.h"
#include "storage/atomic_folder.h"
#include "storage/json.h"
#include "storage/safetensors_writer.h"

namespace plimsoll::compress {

namespace {

namespace fs = std::filesystem;

// What makes a folder usable besides weights and config.
constexpr std::array<const char*, 11> kCompanions{"tokenizer.json",
                                                  "tokenizer.model",
                                                  "tokenizer_config.json",
                                                  "special_tokens_map.json",
                                                  "added_tokens.json",
                                                  "vocab.json",
                                                  "merges.txt",
                                                  "chat_template.jinja",
                                                  "generation_config.json",
                                                  "chat_template.json",
                                                  "LICENSE"};

/// Where the folder is made. Nobody else's: it is cleared before.
fs::path partial(const fs::path& target) {
  fs::path name = target;
  return name += ".plimsoll-partial";
}

/// The folder that `target` means, without links and trailing slashes. InputError when it cannot be
/// made.
fs::path resolved(const fs::path& target) {
  const auto refuse = [&](std::string_view found) {
    throw InputError(target.empty() ? "--output" : target.string(), "output folder", found,
                     "a new or an empty folder");
  };
  if (target.empty()) refuse("an empty name");
  std::error_code error;
  fs::path path = fs::absolute(target).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  if (fs::is_symlink(path, error)) {
    if (!fs::exists(path, error)) refuse("a link that leads nowhere");
    path = fs::canonical(path);
  }
  if (fs::exists(path, error)) {
    if (!fs::is_directory(path, error) || !fs::is_empty(path, error))
      refuse("something there already");
    // It would be replaced under the feet of whoever stands in it.
    if (fs::equivalent(path, fs::current_path(), error)) refuse("the working folder");
  }
  fs::path parent = path.parent_path();
  while (!fs::exists(parent, error) && parent.has_relative_path()) parent = parent.parent_path();
  if (!fs::is_directory(parent, error)) refuse(parent.string() + ", which is no folder, above it");
  if (::access(parent.c_str(), W_OK | X_OK) != 0)
    refuse(fmt::format("{}: {}", parent.string(), std::generic_category().message(errno)));
  return path;
}

/// The module's name in this checkpoint: base-model checkpoints leave out the first component.
std::string stored_module(const Checkpoint& checkpoint, const std::string& module) {
  if (checkpoint.has(module + ".weight")) return module;
  const std::string base = module.substr(module.find('.') + 1);
  return checkpoint.has(base + ".weight") ? base : module;
}

/// Every tensor of the folder to come, quantised ones from the model, the others from the
/// checkpoint.
std::map<std::string, Tensor> tensors_of(Model& model, const Checkpoint& checkpoint) {
  std::map<std::string, Tensor> tensors;
  std::set<std::string> replaced;
  model.visit_linears([&](ops::Linear& layer) {
    if (quant::is_dense(layer.weight.format)) return;
    const std::string module = stored_module(checkpoint, layer.name);
    replaced.insert(module + ".weight");
    for (auto& [name, tensor] : stored_tensors(layer.weight, module)) tensors.emplace(name, tensor);
  });
  for (const std::string& name : checkpoint.names()) {
    if (!replaced.contains(name) && !is_buffer(name))
      tensors.emplace(name, checkpoint.tensor(name));
  }
  return tensors;
}

bool is_floating(DType dtype) {
  return dtype == DType::f64 || dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16;
}

/// Statistics keep their dtype; a weight that stays dense takes the one of the quantised model.
bool is_dense_weight(const Checkpoint& checkpoint, const std::string& name, const Tensor& tensor) {
  return checkpoint.has(name) && is_floating(tensor.dtype());
}

void write_tensors(Model& model, const Checkpoint& checkpoint, DType dtype, const fs::path& file,
                   const Progress& progress) {
  const std::map<std::string, Tensor> tensors = tensors_of(model, checkpoint);
  TensorSpecs specs;
  for (const auto& [name, tensor] : tensors) {
    specs.push_back(
        {name,
         {is_dense_weight(checkpoint, name, tensor) ? dtype : tensor.dtype(), tensor.shape()}});
  }
  sort_as_reference(specs);
  SafetensorsWriter writer(file, specs, {{"format", "pt"}});
  std::int64_t done = 0;
  for (const auto& [name, spec] : specs) {
    report(progress, "writing", done++, static_cast<std::int64_t>(specs.size()));
    const Tensor& tensor = tensors.at(name);
    writer.write(name,
                 is_dense_weight(checkpoint, name, tensor) ? converted(tensor, dtype) : tensor);
  }
  writer.finish();
  report(progress, "writing", done, static_cast<std::int64_t>(specs.size()));
}

void check_dense_rest(const fs::path& source, const WeightPlan& plan) {
  const Checkpoint checkpoint = Checkpoint::open(source);
  std::set<std::string> quantised;
  for (const LinearSpec& spec : linear_layers(load_config(source.string()))) {
    if (plan.quantizes(spec)) quantised.insert(stored_module(checkpoint, spec.name) + ".weight");
  }
  for (const std::string& name : checkpoint.names()) {
    if (quantised.contains(name) || is_buffer(name) || !is_floating(checkpoint.info(name).dtype))
      continue;
    quant::require_representable(checkpoint.tensor(name), plan.encode.source_dtype,
                                 checkpoint.file_of(name).string() + ": " + name);
  }
}

std::vector<std::string> dense_modules(Model& model) {
  std::vector<std::string> dense;
  model.visit_linears([&](ops::Linear& layer) {
    if (quant::is_dense(layer.weight.format)) dense.push_back(layer.name);
  });
  return dense;
}

void write_config(Model& model, const fs::path& source, const LoadOptions& options,
                  const CalibrationOptions& calibration, const fs::path& file) {
  const DType dtype = options.weights.encode.source_dtype;
  nlohmann::ordered_json config =
      nlohmann::ordered_json::parse(read_text_file(source / "config.json"));
  const char* name = dtype == DType::f16    ? "float16"
                     : dtype == DType::bf16 ? "bfloat16"
                                            : "float32";
  config[config.contains("torch_dtype") ? "torch_dtype" : "dtype"] = name;
  QuantizationSettings settings{*options.weights.format, options.weights.encode, calibration.gptq,
                                dense_modules(model), std::nullopt};
  if (needs_calibration(settings.format)) settings.calibration = record_of(calibration);
  config["quantization_config"] = quantization_config(settings);
  write_file_atomically(file, config.dump(2) + "\n");
}

}  // namespace

void copy_companions(const fs::path& source, const fs::path& folder) {
  for (const char* name : kCompanions) {
    if (fs::exists(source / name))
      write_file_atomically(folder / name, read_text_file(source / name));
  }
}

void check_target(const fs::path& target) {
  resolved(target);
}

void check_saving(const fs::path& source, const WeightPlan& plan, const fs::path& target) {
  check_target(target);
  check_dense_rest(source, plan);
}

void save_quantized(Model& model, const fs::path& source, const LoadOptions& options,
                    const CalibrationOptions& calibration, const fs::path& target,
                    const Progress& progress) {
  check_saving(source, options.weights, target);
  const fs::path whole = resolved(target);
  AtomicFolder folder(partial(whole));
  const Checkpoint checkpoint = Checkpoint::open(source);
  write_tensors(model, checkpoint, options.weights.encode.source_dtype,
                folder.path() / "model.safetensors", progress);
  write_config(model, source, options, calibration, folder.path() / "config.json");
  copy_companions(source, folder.path());
  folder.become(whole);
}

}  // namespace plimsoll::compress
