#include "eval/slow_paths.h"

#include <algorithm>
#include <array>
#include <map>

#include "core/cpu.h"
#include "kernels/panels/panels.h"
#include "ops/attention.h"
#include "ops/linear.h"

namespace plimsoll {

namespace {

/// The unit that a product's kernel multiplies in, by the grammar of its name:
/// gemm_FORMAT[_UNIT][_panels]_ISA, where dense formats are units themselves.
std::string_view unit_of_kernel(std::string_view name) {
  constexpr std::string_view kIsa = "_avx512_bf16";
  if (name.ends_with(kIsa)) name.remove_suffix(kIsa.size());
  for (const std::string_view unit : {"int8", "bf16"}) {
    if (name.find(unit) != std::string_view::npos) return unit;
  }
  return "fp32";
}

std::ptrdiff_t speed_of(std::string_view unit) {
  constexpr std::array<std::string_view, 3> kSlowestFirst{"fp32", "bf16", "int8"};
  return std::ranges::find(kSlowestFirst, unit) - kSlowestFirst.begin();
}

/// What slows a layer's product over `rows` rows; empty where nothing does.
std::string slow_product(const ops::Context& context, const ops::Linear& layer, std::int64_t rows) {
  const quant::Matrix& weight = layer.weight;
  const ops::LinearChoice choice = ops::choose_linear(context, layer, rows);
  const std::string_view best = ops::unit_of(ops::Compute::fast, weight.format);
  const std::string_view used = unit_of_kernel(choice.kernel);
  const bool slower_unit = speed_of(used) < speed_of(best);
  const bool older = std::ranges::any_of(choice.refused, [&](const ops::Refusal& refusal) {
    return refusal.isa > choice.isa && unit_of_kernel(refusal.kernel) == used;
  });
  if (!slower_unit && !older) return {};

  std::vector<std::string> reasons;
  if (weight.layout != quant::Layout::panels) {
    const Support packs = kernels::can_pack(weight);
    reasons.push_back(packs ? "its weights were not rearranged" : packs.reason);
  }
  for (const ops::Refusal& refusal : choice.refused) {
    reasons.push_back(fmt::format("{}: {}", refusal.kernel, refusal.reason));
  }
  if (reasons.empty()) {
    reasons.push_back(fmt::format("no kernel of {} does", quant::format_name(weight.format)));
  }
  const std::string what =
      slower_unit ? fmt::format("{} multiplies in {} and not in {}", choice.kernel, used, best)
                  : fmt::format("{} runs", choice.kernel);
  return fmt::format("{} ({})", what, fmt::join(reasons, "; "));
}

std::string slow_attention(const Model& model, const ops::Context& context, std::int64_t rows) {
  const ModelConfig& config = model.config();
  kernels::AttentionArgs args;
  args.q_len = rows;
  args.heads = config.heads;
  args.kv.layout = model.kv_shape(context.kv).layout();
  args.kv.length = rows;
  args.compute = context.compute;
  const ops::AttentionChoice choice = ops::choose_attention(context, args);
  const std::string_view name = choice.variant->name;
  if (context.attention == ops::Attention::eager || name.starts_with("attention_flash") ||
      name.starts_with("attention_decode")) {
    return {};
  }
  return fmt::format("attention: {} runs, with whole score matrices ({})", name, choice.reason);
}

}  // namespace

std::vector<std::string> slow_paths(Model& model, const ops::Context& context, std::int64_t rows) {
  std::vector<std::string> lines;
  if (context.device != nullptr) return lines;  // what has no fast kernel is refused there
  if (current_isa() < detected_isa()) {
    lines.push_back(fmt::format("--isa {} holds back a CPU that has {}", isa_name(current_isa()),
                                isa_name(detected_isa())));
  }
  std::map<std::string, std::vector<std::string>> layers;  // by what slows them
  std::size_t count = 0;
  model.visit_linears([&](ops::Linear& layer) {
    ++count;
    for (const std::int64_t pass : {rows, std::int64_t{1}}) {
      const std::string slow = slow_product(context, layer, pass);
      if (slow.empty()) continue;
      layers[slow].push_back(layer.name);
      break;
    }
  });
  for (const auto& [slow, names] : layers) {
    lines.push_back(names.size() == 1 ? fmt::format("{}: {}", names.front(), slow)
                                      : fmt::format("{} of {} linear layers ({}, ...): {}",
                                                    names.size(), count, names.front(), slow));
  }
  for (const std::int64_t pass : {rows, std::int64_t{1}}) {
    const std::string slow = slow_attention(model, context, pass);
    if (slow.empty()) continue;
    lines.push_back(slow);
    break;
  }
  return lines;
}

std::optional<std::string> bound_by_launches(const KernelProfile& profile) {
  // A launch and what begins and ends a kernel take some microseconds.
  constexpr double kShort = 10e-6;
  constexpr double kShareOfCeiling = 0.5;
  if (!profile.timeline || profile.timeline->launches == 0) return std::nullopt;
  const DeviceTimeline& line = *profile.timeline;
  double at_ceilings = 0;
  for (const KernelTime& kernel : profile.kernels) {
    at_ceilings += kernel.share_of_ceiling * kernel.seconds;
  }
  if (line.mean_seconds() > kShort || at_ceilings > kShareOfCeiling * line.wall_seconds) {
    return std::nullopt;
  }
  constexpr double kPercent = 100, kMicroseconds = 1e6;
  return fmt::format(
      "launches bound it: {} kernels and copies of {:.1f} us on average, little more than one "
      "takes to "
      "begin and end, keep the GPU busy for {:.0f} % of the time; at the ceilings their work takes "
      "{:.0f} %. More sequences at once, or a larger model, would fill the GPU",
      line.launches, line.mean_seconds() * kMicroseconds,
      line.busy_seconds / line.wall_seconds * kPercent, at_ceilings / line.wall_seconds * kPercent);
}

}  // namespace plimsoll
