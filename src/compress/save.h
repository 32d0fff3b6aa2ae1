// A quantised model as a Hugging Face folder that other programs open.
#pragma once

#include <filesystem>
#include <string>

#include "compress/calibration.h"

namespace plimsoll::compress {

/// Writes `model`, loaded from the checkpoint folder `source` as `options` and `calibration` say,
/// to the new folder `target`: config with quantization_config, tensors (those not quantised in
/// `source_dtype`), tokenizer and generation files. The folder appears whole or not at all; what a
/// killed run left is cleared first. InputError as check_saving() has it.
void save_quantized(Model& model, const std::filesystem::path& source, const LoadOptions& options,
                    const CalibrationOptions& calibration, const std::filesystem::path& target,
                    const Progress& progress);

/// What can be known before any work is done: InputError when `target` is neither a folder that can
/// be made nor an empty one, or when a tensor of `source` that stays dense holds a value that
/// `source_dtype` cannot (naming it).
void check_saving(const std::filesystem::path& source, const WeightPlan& plan,
                  const std::filesystem::path& target);

/// The first half of that.
void check_target(const std::filesystem::path& target);

/// Copies what makes a checkpoint folder usable besides weights and config: tokenizer, chat
/// template, generation settings, licence.
void copy_companions(const std::filesystem::path& source, const std::filesystem::path& folder);

}  // namespace plimsoll::compress
