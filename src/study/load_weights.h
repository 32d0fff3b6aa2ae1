// A model's weights in one of the formats that are compared.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "compress/calibration.h"
#include "core/progress.h"
#include "model/load_model.h"

namespace plimsoll::study {

/// Loads the checkpoint or shape `model` in `format` (nullopt: as stored). Formats that need
/// calibration draw from the first chapters of the story built in. shape: models get room for
/// `positions`. Without `pack` the matrices stay as they are stored, to be trained beside.
std::unique_ptr<Model> load_weights(const std::string& model,
                                    std::optional<quant::WeightFormat> format,
                                    std::int64_t positions, const Progress& progress,
                                    bool pack = true);

/// What load_weights calibrates on: the first chapters of the story built in.
compress::CalibrationOptions built_in_calibration(const ModelConfig& config,
                                                  const Tokenizer& tokenizer);

/// The format of most of a model's linear weights: what was loaded when nothing was asked for.
quant::WeightFormat format_of(Model& model);

}  // namespace plimsoll::study
