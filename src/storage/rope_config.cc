#include "storage/rope_config.h"

#include <optional>
#include <utility>

namespace plimsoll {

namespace {

constexpr double kLargestTheta = 1e18;
constexpr double kLargestFactor = 1e6;

/// The object that holds the settings in either spelling, and its name; nullptr when there is none.
std::pair<const Json*, std::string> find_settings(const Json& config, const std::string& file) {
  const Json* scaling = find_object(config, "rope_scaling", file);
  const Json* parameters = find_object(config, "rope_parameters", file);
  if (scaling != nullptr && parameters != nullptr && *scaling != *parameters) {
    throw InputError(file, "rope_scaling", "another value than in rope_parameters",
                     "one of the two, or the same");
  }
  if (parameters != nullptr) return {parameters, file + ": rope_parameters"};
  return {scaling, file + ": rope_scaling"};
}

double find_theta(const Json& config, const Json& settings, const std::string& where,
                  const std::string& file) {
  const auto inner = find_number(settings, "rope_theta", where, 1, kLargestTheta);
  const auto outer = find_number(config, "rope_theta", file, 1, kLargestTheta);
  if (inner && outer && *inner != *outer) {
    throw InputError(where, "rope_theta", fmt::format("{}", *inner),
                     fmt::format("the {} of rope_theta outside", *outer));
  }
  return inner ? *inner : outer.value_or(RopeConfig{}.theta);
}

void refuse_unknown_kinds(const Json& settings, const std::string& where) {
  for (const char* layer_type : {"full_attention", "sliding_attention"}) {
    if (settings.contains(layer_type)) {
      throw InputError(where, layer_type, "settings for one type of layers",
                       "the same for all layers");
    }
  }
}

void refuse_partial_rotation(const Json& object, const std::string& where) {
  const auto factor = find_number(object, "partial_rotary_factor", where);
  if (factor && *factor != 1) {
    throw InputError(where, "partial_rotary_factor", fmt::format("{}", *factor),
                     "1: heads are rotated whole");
  }
}

RopeScaling parse_llama3(const Json& settings, const std::string& where) {
  constexpr double kSmallestFactor = 1e-6;
  constexpr std::int64_t kMostPositions = std::int64_t{1} << 31;
  RopeScaling scaling;
  scaling.type = RopeScaling::Type::llama3;
  scaling.factor = require_number(settings, "factor", where, 1, kLargestFactor);
  scaling.low_freq_factor =
      require_number(settings, "low_freq_factor", where, kSmallestFactor, kLargestFactor);
  scaling.high_freq_factor =
      require_number(settings, "high_freq_factor", where, kSmallestFactor, kLargestFactor);
  if (scaling.high_freq_factor <= scaling.low_freq_factor) {
    throw InputError(where, "high_freq_factor", fmt::format("{}", scaling.high_freq_factor),
                     fmt::format("more than the {} of low_freq_factor", scaling.low_freq_factor));
  }
  scaling.original_max_positions =
      require_int(settings, "original_max_position_embeddings", where, 1, kMostPositions);
  return scaling;
}

RopeScaling parse_scaling(const Json& settings, const std::string& where) {
  const std::string_view field =
      find_field(settings, "rope_type") != nullptr ? "rope_type" : "type";
  const std::string type = find_string(settings, field, where).value_or("default");
  if (type == "default") return {};
  if (type == "linear") {
    RopeScaling scaling;
    scaling.type = RopeScaling::Type::linear;
    scaling.factor = require_number(settings, "factor", where, 1, kLargestFactor);
    return scaling;
  }
  if (type == "llama3") return parse_llama3(settings, where);
  throw InputError(where, field, quote(type), "one of default, linear, llama3");
}

}  // namespace

RopeConfig parse_rope_config(const Json& config, const std::string& file) {
  static const Json kNone = Json::object();
  const auto [found, where] = find_settings(config, file);
  const Json& settings = found == nullptr ? kNone : *found;
  refuse_unknown_kinds(settings, where);
  refuse_partial_rotation(config, file);
  refuse_partial_rotation(settings, where);
  return {find_theta(config, settings, where, file), parse_scaling(settings, where)};
}

}  // namespace plimsoll
