#include "model/weight_plan.h"

#include <algorithm>
#include <map>

#include "core/quote.h"
#include "model/model.h"

namespace plimsoll {

namespace {

bool names(const std::string& pattern, const std::string& module) {
  return fmt::format(".{}.", module).find(fmt::format(".{}.", pattern)) != std::string::npos;
}

bool matches(const std::vector<std::string>& patterns, const std::string& module) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& pattern) { return names(pattern, module); });
}

/// Notes which linear layers an architecture asks for.
class LinearCollector : public WeightLoader {
 public:
  ops::Linear linear(const LinearSpec& spec) override {
    specs.push_back(spec);
    return {};
  }
  quant::Matrix table(const std::string&, std::int64_t, std::int64_t) override { return {}; }
  Tensor vector(const std::string&, std::int64_t) override { return {}; }

  std::vector<LinearSpec> specs;
};

/// "model.layers.N.mlp.up_proj": a layer's number stands for all of them.
std::string without_number(const std::string& module) {
  std::string result;
  std::size_t at = 0;
  while (at <= module.size()) {
    const std::size_t dot = std::min(module.find('.', at), module.size());
    const std::string part = module.substr(at, dot - at);
    const bool number = part.find_first_not_of("0123456789") == std::string::npos;
    result += (at == 0 ? "" : ".") + (number && !part.empty() ? "N" : part);
    at = dot + 1;
  }
  return result;
}

std::string listed(const std::vector<LinearSpec>& specs) {
  std::vector<std::string> kinds;
  for (const LinearSpec& spec : specs) {
    const std::string kind = without_number(spec.name);
    if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end()) kinds.push_back(kind);
  }
  return fmt::format("a linear layer of the model or a part of its name: {}",
                     fmt::join(kinds, ", "));
}

}  // namespace

bool WeightPlan::quantizes(const LinearSpec& spec) const {
  if (!format || quant::is_dense(*format)) return false;
  if (matches(include, spec.name)) return true;
  return spec.part != Part::head && !matches(skip, spec.name);
}

std::vector<LinearSpec> linear_layers(const ModelConfig& config) {
  LinearCollector collector;
  build_model(config, collector);
  return collector.specs;
}

void check_plan(const WeightPlan& plan, const ModelConfig& config) {
  if (!plan.format || quant::is_dense(*plan.format)) return;
  const std::vector<LinearSpec> specs = linear_layers(config);
  for (const auto& [flag, patterns] :
       {std::pair{"--skip", &plan.skip}, {"--include", &plan.include}}) {
    for (const std::string& pattern : *patterns) {
      if (std::none_of(specs.begin(), specs.end(),
                       [&](const LinearSpec& spec) { return names(pattern, spec.name); })) {
        const bool tied_head = config.tie_word_embeddings && pattern == "lm_head";
        throw InputError(
            flag, "module", quote(pattern),
            tied_head ? "a linear layer: this model's head is its embedding table" : listed(specs));
      }
    }
  }
  bool any = false;
  for (const LinearSpec& spec : specs) {
    if (!plan.quantizes(spec)) continue;
    any = true;
    const Support support = quant::can_hold(*plan.format, spec.out, spec.in, plan.encode);
    if (!support) {
      throw InputError(fmt::format("{}.weight: {}: {} (--skip leaves a layer out)", spec.name,
                                   quant::format_name(*plan.format), support.reason));
    }
  }
  if (!any) throw InputError("--skip", "modules", "every linear layer", "one left to quantise");
}

}  // namespace plimsoll
