#include "compress/calibration.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>

#include "core/memory.h"

namespace plimsoll::compress {

namespace {

using quant::WeightFormat;

/// What one pass gathers for one input: several layers (Q, K and V) may share it.
struct Statistics {
  std::optional<quant::HessianAccumulator> hessian;
  std::optional<quant::InputObserver> observer;

  void add(const Tensor& x) {
    if (hessian) hessian->add(x.data<float>(), x.dim(0));
    if (observer) observer->add(x.span<float>());
  }
};

std::int64_t statistics_bytes(WeightFormat format, const ops::Linear& layer) {
  return format == WeightFormat::gptq ? layer.weight.columns * layer.weight.columns * 4 : 1 << 18;
}

/// Gathers statistics for some layers of a model by watching it run.
class Watcher {
 public:
  Watcher(const CalibrationOptions& options, WeightFormat format,
          const std::vector<ops::Linear*>& layers)
      : options_(options), format_(format) {
    for (const ops::Linear* layer : layers) of_layer_[layer] = nullptr;
  }

  void see(const ops::Linear& layer, const Tensor& x) {
    const auto entry = of_layer_.find(&layer);
    if (entry == of_layer_.end()) return;
    // Layers that are called one after the other with the same tensor share their statistics; which
    // do is found out on the first window, and counted once.
    const bool same_input = last_ != nullptr && last_input_.raw() == x.raw();
    if (entry->second == nullptr) entry->second = same_input ? last_ : make(layer);
    if (!same_input || entry->second != last_) entry->second->add(x);
    last_input_ = x;  // a handle: its memory cannot become another layer's input meanwhile
    last_ = entry->second;
  }

  bool watches(std::string_view module) const {
    return std::any_of(of_layer_.begin(), of_layer_.end(),
                       [&](const auto& entry) { return entry.first->name == module; });
  }

  const Statistics& of(const ops::Linear& layer) const {
    const auto& statistics = of_layer_.at(&layer);
    PLIMSOLL_CHECK(statistics != nullptr, "{} was never called", layer.name);
    return *statistics;
  }

 private:
  std::shared_ptr<Statistics> make(const ops::Linear& layer) const {
    auto statistics = std::make_shared<Statistics>();
    if (format_ == WeightFormat::gptq) {
      statistics->hessian.emplace(layer.weight.columns);
    } else {
      statistics->observer.emplace(options_.observer);
    }
    return statistics;
  }

  const CalibrationOptions& options_;
  WeightFormat format_;
  std::map<const ops::Linear*, std::shared_ptr<Statistics>> of_layer_;
  Tensor last_input_;
  std::shared_ptr<Statistics> last_;
};

void run_windows(const Model& model, const CalibrationOptions& options, Watcher& watcher,
                 const Progress& progress) {
  const auto windows = calibration_windows(options);
  const ops::LinearObserver observer = [&](const ops::Linear& layer, const Tensor& x) {
    watcher.see(layer, x);
  };
  ops::Context context;
  context.observer = &observer;
  kv::BlockPool pool(model.kv_shape(), options.window_tokens);
  std::int64_t done = 0;
  for (const auto& window : windows) {
    report(progress, "calibrating", done++, static_cast<std::int64_t>(windows.size()));
    kv::Sequence sequence(pool);
    Batch batch;
    batch.add(sequence, window);
    const Tensor hidden = model.forward(context, batch);
    if (watcher.watches("lm_head")) model.logits(context, hidden);
  }
  report(progress, "calibrating", done, static_cast<std::int64_t>(windows.size()));
}

quant::Matrix encode(const ops::Linear& layer, const Statistics& statistics,
                     const LoadOptions& load, const CalibrationOptions& options) {
  const Tensor& weights = layer.weight.codes;
  if (statistics.hessian)
    return quant::encode_gptq(weights, *statistics.hessian, options.gptq, layer.name);
  quant::Matrix matrix =
      quant::encode(WeightFormat::int8_static, weights, load.weights.encode, layer.name);
  const quant::InputGrid grid = statistics.observer->grid();
  matrix.input_scale = grid.scale;
  matrix.input_zero = grid.zero;
  return matrix;
}

}  // namespace

bool needs_calibration(WeightFormat format) {
  return format == WeightFormat::gptq || format == WeightFormat::int8_static;
}

std::unique_ptr<Model> load_model_in(const std::string& name, const LoadOptions& options,
                                     const CalibrationOptions* calibration) {
  const auto format = options.weights.format;
  if (!format || !needs_calibration(*format) || is_shape(name)) return load_model(name, options);
  const StoredQuantization stored = stored_quantization(load_config(name).quantization, name);
  if (stored.method != StoredQuantization::Method::none) return load_model(name, options);
  PLIMSOLL_CHECK(calibration != nullptr);
  check_plan(options.weights, load_config(name));

  LoadOptions as_stored = options;
  as_stored.weights.format.reset();
  as_stored.weights.pack = false;
  std::unique_ptr<Model> model = load_model(name, as_stored);
  std::vector<ops::Linear*> remaining;
  model->visit_linears([&](ops::Linear& layer) {
    const Part part = layer.name == "lm_head" ? Part::head : Part::mlp;
    if (options.weights.quantizes({layer.name, 0, 0, false, false, part}))
      remaining.push_back(&layer);
  });
  const auto budget = static_cast<std::int64_t>(available_memory() / 3);
  std::int64_t done = 0;
  const auto total = static_cast<std::int64_t>(remaining.size());
  while (!remaining.empty()) {
    std::int64_t bytes = 0;
    std::size_t count = 0;
    while (count < remaining.size() && (count == 0 || bytes < budget)) {
      bytes += statistics_bytes(*format, *remaining[count++]);
    }
    const std::vector<ops::Linear*> now(remaining.begin(),
                                        remaining.begin() + static_cast<std::ptrdiff_t>(count));
    remaining.erase(remaining.begin(), remaining.begin() + static_cast<std::ptrdiff_t>(count));
    Watcher watcher(*calibration, *format, now);
    run_windows(*model, *calibration, watcher, options.progress);
    for (ops::Linear* layer : now) {
      report(options.progress, "quantising", done++, total);
      quant::Matrix matrix = encode(*layer, watcher.of(*layer), options, *calibration);
      if (options.on_encoded) options.on_encoded(layer->name, layer->weight.codes, matrix);
      model->replace_weight_bytes(quant::matrix_bytes(layer->weight), quant::matrix_bytes(matrix));
      layer->weight = std::move(matrix);
    }
    report(options.progress, "quantising", done, total);
  }
  if (options.weights.pack) model->pack_weights();
  return model;
}

}  // namespace plimsoll::compress
