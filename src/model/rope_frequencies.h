#pragma once

#include <vector>

#include "storage/model_config.h"

namespace plimsoll {

/// Angle a position adds, for each pair of a head's elements: theta^(-2i/head_dim), stretched as
/// the config's rope scaling says. fp32, since Hugging Face rounds them so. [head_dim / 2]
std::vector<float> rope_frequencies(const ModelConfig& config);

}  // namespace plimsoll
