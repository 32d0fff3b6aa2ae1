#include "study/load_weights.h"

#include <algorithm>
#include <map>

#include "engine/model_tokenizer.h"

namespace plimsoll::study {

std::unique_ptr<Model> load_weights(const std::string& model,
                                    std::optional<quant::WeightFormat> format,
                                    std::int64_t positions, const Progress& progress, bool pack,
                                    ops::Device* device) {
  LoadOptions options;
  options.weights.format = format;
  options.weights.pack = pack;
  options.context = positions;
  options.device = device;
  options.progress = progress;
  if (is_shape(model) || !format || !compress::needs_calibration(*format)) {
    return load_model(model, options);
  }
  const ModelConfig config = load_config(model);
  const auto calibration = built_in_calibration(config, *load_tokenizer(model, config));
  return compress::load_model_in(model, options, &calibration);
}

compress::CalibrationOptions built_in_calibration(const ModelConfig& config,
                                                  const Tokenizer& tokenizer) {
  compress::CalibrationOptions calibration;
  calibration.text = compress::built_in_calibration_text(tokenizer);
  calibration.window_tokens = std::min(calibration.window_tokens, config.max_positions);
  return calibration;
}

std::unique_ptr<Model> load_to_run(const std::string& model,
                                   std::optional<quant::WeightFormat> format,
                                   std::int64_t positions, const Progress& progress,
                                   ops::Device* device,
                                   const std::function<void(Model&)>& on_loaded) {
  auto loaded = load_weights(model, format, positions, progress, device == nullptr, device);
  if (on_loaded) on_loaded(*loaded);
  if (device != nullptr) move_model(*loaded, model, *device);
  return loaded;
}

quant::WeightFormat format_of(Model& model) {
  std::map<quant::WeightFormat, std::int64_t> elements;
  model.visit_linears([&](ops::Linear& layer) {
    elements[layer.weight.format] += layer.weight.rows * layer.weight.columns;
  });
  PLIMSOLL_CHECK(!elements.empty());
  return std::max_element(elements.begin(), elements.end(),
                          [](const auto& a, const auto& b) { return a.second < b.second; })
      ->first;
}

}  // namespace plimsoll::study
