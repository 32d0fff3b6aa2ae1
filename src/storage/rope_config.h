// The rotary position settings of config.json, which transformers has spelt in two ways:
//   4: "rope_theta": 500000.0, "rope_scaling": null or {"rope_type" (once "type"): "llama3", ...}
//   5: "rope_parameters": {"rope_theta": 500000.0, "rope_type": "llama3", ...}
#pragma once

#include <string>

#include "storage/json.h"
#include "storage/model_config.h"

namespace plimsoll {

struct RopeConfig {
  double theta = 10000;
  RopeScaling scaling;
};

/// From the object of a whole config.json. InputError naming `file` and the field for what is
/// wrong, contradicts itself, or would need a kind of RoPE that is not implemented.
RopeConfig parse_rope_config(const Json& config, const std::string& file);

}  // namespace plimsoll
