#include "model/load_model.h"

#include <algorithm>

#include "core/memory.h"
#include "core/units.h"
#include "model/inventory.h"
#include "model/random_loader.h"
#include "model/shapes.h"
#include "model/unknown_tensors.h"

namespace plimsoll {

namespace {

namespace fs = std::filesystem;

std::int64_t linear_count(const std::vector<InventoryLoader::Entry>& entries) {
  return std::count_if(entries.begin(), entries.end(), [](const auto& entry) {
    return entry.quantisable || (entry.part == Part::head && entry.columns > 1);
  });
}

// What no loader packs, a tied head, is packed at the end.
std::unique_ptr<Model> built(const ModelConfig& config, WeightLoader& loader,
                             const WeightPlan& plan) {
  auto model = build_model(config, loader);
  if (plan.pack) model->pack_weights();
  return model;
}

std::vector<std::string_view> formats_within(const ModelConfig& config, std::int64_t bytes) {
  std::vector<std::string_view> names;
  for (const quant::WeightFormat format : quant::all_formats()) {
    if (total_bytes(config, format) <= bytes) names.push_back(quant::format_name(format));
  }
  return names;
}

}  // namespace

bool is_shape(const std::string& name) {
  return name.starts_with("shape:");
}

ModelConfig load_config(const std::string& name) {
  if (const auto shape = config_of_shape(name)) return *shape;
  if (!fs::exists(name)) {
    throw InputError(name, "model", "no such folder",
                     fmt::format("a checkpoint folder, or shape:NAME with NAME one of {}",
                                 fmt::join(shape_names(), ", ")));
  }
  return load_model_config(name);
}

void move_model(Model& model, const std::string& name, ops::Device& device) {
  device.trim();
  const std::int64_t free = device.free_bytes();
  const std::int64_t needed = model.weight_bytes();
  if (needed > free) {
    const auto fit = formats_within(model.config(), free);
    throw InputError(
        fmt::format("{} needs {} on the {}, {} are free: {}", name,
                    format_bytes(static_cast<std::uint64_t>(needed)), device.name(),
                    format_bytes(static_cast<std::uint64_t>(free)),
                    fit.empty() ? "no format fits"
                                : fmt::format("--weights {} would fit", fmt::join(fit, ", "))));
  }
  // What lacks memory beside the weights (cache, workspace, a graph) may have it beside lighter
  // ones.
  device.advise_memory([config = model.config(), needed](std::uint64_t lacking) -> std::string {
    const auto fit = formats_within(config, needed - static_cast<std::int64_t>(lacking));
    if (!fit.empty()) return fmt::format("--weights {} would fit", fmt::join(fit, ", "));
    return "no lighter weights would make room, fewer tokens or sequences at once would";
  });
  model.move_to(device);
}

std::unique_ptr<Model> load_model(const std::string& name, const LoadOptions& options) {
  ModelConfig config = load_config(name);
  if (is_shape(name)) config.max_positions = std::max(config.max_positions, options.context);
  const std::int64_t matrices = linear_count(inventory(config));
  const auto format = options.weights.format;
  // Of a shape's layers that go to a GPU, one of a kind is made here.
  if (options.device == nullptr ? is_shape(name) || format.has_value()
                                : !is_shape(name) && format.has_value()) {
    require_memory(static_cast<std::uint64_t>(total_bytes(config, format)),
                   format ? fmt::format("{} in {}", name, quant::format_name(*format)) : name);
  }
  if (is_shape(name)) {
    check_plan(options.weights, config);
    RandomLoader loader(options.weights, options.progress, matrices, options.device != nullptr);
    return built(config, loader, options.weights);
  }
  const Checkpoint checkpoint = Checkpoint::open(name);
  const StoredQuantization stored =
      stored_quantization(config.quantization, (checkpoint.directory() / "config.json").string());
  if (stored.method == StoredQuantization::Method::none &&
      (format == quant::WeightFormat::gptq || format == quant::WeightFormat::int8_static)) {
    throw InputError(name, "weights",
                     fmt::format("{}, which needs calibration", quant::format_name(*format)),
                     "another format, or a checkpoint quantised before");
  }
  if (stored.method == StoredQuantization::Method::none) check_plan(options.weights, config);
  refuse_unknown_tensors(checkpoint, stored, inventory(config));
  // oneDNN does not tell when it has no memory for the code that it makes: it would be called all
  // the same.
  constexpr std::uint64_t kLibraryMemory = std::uint64_t{32} << 20;
  require_memory(kLibraryMemory, "the arithmetic beside the weights");
  CheckpointLoader loader(checkpoint, stored, options.weights, options.progress, options.on_encoded,
                          matrices);
  return built(config, loader, options.weights);
}

}  // namespace plimsoll
