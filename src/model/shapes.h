// Well-known models by name and shape alone: "shape:mistral-7b" stands wherever a model path does.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/model_config.h"

namespace plimsoll {

/// The config behind "shape:NAME"; nullopt when `model` does not begin with "shape:". InputError
/// listing the known names for an unknown one. Any context length is allowed: max_positions is only
/// what the published model says.
std::optional<ModelConfig> config_of_shape(std::string_view model);
std::vector<std::string> shape_names();

}  // namespace plimsoll
