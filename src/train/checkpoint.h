// Where a run stands, in one file that is whole or absent: values, AdamW's statistics, the step.
// What a step draws at random depends on the seed and the step alone, so nothing else is needed.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "train/parameters.h"

namespace plimsoll::train {

/// FOLDER/training-state.safetensors: value., mean. and square. of every parameter.
std::filesystem::path checkpoint_file(const std::filesystem::path& folder);

/// `recipe` is the run's settings as JSON text, which a resumed run must share.
void write_checkpoint(const std::filesystem::path& folder, const Parameters& parameters,
                      std::int64_t step, const std::string& recipe);

/// Fills the parameters; returns the step, or nullopt when there is no checkpoint. InputError when
/// the recipe is another one (naming the setting), or the file is not such a checkpoint.
std::optional<std::int64_t> read_checkpoint(const std::filesystem::path& folder,
                                            Parameters& parameters, const std::string& recipe);

}  // namespace plimsoll::train
