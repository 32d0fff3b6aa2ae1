#include "model/rope_frequencies.h"

#include <cmath>
#include <numbers>

namespace plimsoll {

namespace {

/// Llama 3: long waves are slowed by `factor`, short ones kept, those between interpolated.
double llama3(double frequency, const RopeScaling& scaling) {
  const auto old_context = static_cast<double>(scaling.original_max_positions);
  const double wavelength = 2 * std::numbers::pi / frequency;
  if (wavelength < old_context / scaling.high_freq_factor) return frequency;
  if (wavelength > old_context / scaling.low_freq_factor) return frequency / scaling.factor;
  const double smooth = (old_context / wavelength - scaling.low_freq_factor) /
                        (scaling.high_freq_factor - scaling.low_freq_factor);
  return (1 - smooth) * frequency / scaling.factor + smooth * frequency;
}

}  // namespace

std::vector<float> rope_frequencies(const ModelConfig& config) {
  std::vector<float> frequencies;
  for (std::int64_t i = 0; i < config.head_dim / 2; ++i) {
    double frequency = std::pow(
        config.rope_theta, -2.0 * static_cast<double>(i) / static_cast<double>(config.head_dim));
    switch (config.rope_scaling.type) {
      case RopeScaling::Type::none:
        break;
      case RopeScaling::Type::linear:
        frequency /= config.rope_scaling.factor;
        break;
      case RopeScaling::Type::llama3:
        frequency = llama3(frequency, config.rope_scaling);
        break;
    }
    frequencies.push_back(static_cast<float>(frequency));
  }
  return frequencies;
}

}  // namespace plimsoll
