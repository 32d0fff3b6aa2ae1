// A model's weights in one of the formats that are compared.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "compress/calibration.h"
#include "core/progress.h"
#include "model/load_model.h"

namespace plimsoll::study {

/// Loads the checkpoint or shape `model` in `format` (nullopt: as stored). Formats that need
/// calibration draw from the first chapters of the story built in. shape: models get room for
/// `positions`. Without `pack` the matrices stay as they are stored, to be trained beside or for
/// the `device` that they will go to.
std::unique_ptr<Model> load_weights(const std::string& model,
                                    std::optional<quant::WeightFormat> format,
                                    std::int64_t positions, const Progress& progress,
                                    bool pack = true, ops::Device* device = nullptr);

/// The same ready to run: `on_loaded` (adapters) is told of it, and where there is a device it is
/// moved there.
std::unique_ptr<Model> load_to_run(const std::string& model,
                                   std::optional<quant::WeightFormat> format,
                                   std::int64_t positions, const Progress& progress,
                                   ops::Device* device,
                                   const std::function<void(Model&)>& on_loaded);

/// What load_weights calibrates on: the first chapters of the story built in.
compress::CalibrationOptions built_in_calibration(const ModelConfig& config,
                                                  const Tokenizer& tokenizer);

/// The format of most of a model's linear weights: what was loaded when nothing was asked for.
quant::WeightFormat format_of(Model& model);

}  // namespace plimsoll::study
