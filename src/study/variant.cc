#include "study/variant.h"

#include <algorithm>

#include "core/error.h"
#include "core/quote.h"
#include "kv/kv_format.h"
#include "model/stored_quantization.h"

namespace plimsoll::study {

namespace {

using enum quant::WeightFormat;
using enum ops::Attention;
using quant::WeightFormat;

bool is_quantised(const ModelConfig& config) {
  return stored_quantization(config.quantization, "config.json").method !=
         StoredQuantization::Method::none;
}

bool is_quantised(kv::KvFormat format) {
  return format == kv::KvFormat::int8;
}

/// Takes what stands before the next `mark` off the front.
std::string_view take(std::string_view& rest, char mark) {
  const std::size_t end = std::min(rest.find(mark), rest.size());
  const std::string_view word = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return word;
}

std::string_view trimmed(std::string_view word) {
  constexpr std::string_view kSpace = " \t\n";
  const std::size_t begin = word.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return word.substr(begin, word.find_last_not_of(kSpace) + 1 - begin);
}

}  // namespace

std::string Variant::name() const {
  std::string name =
      fmt::format("{}+{}", quant::format_name(weights), ops::attention_name(attention));
  if (kv != kv::KvFormat::f32) name += fmt::format("+kv-{}", kv::kv_format_name(kv));
  return name;
}

ops::Context Variant::context(ops::Context base) const {
  base.attention = attention;
  base.kv = kv;
  return base;
}

Variant variant_from_name(std::string_view name, kv::KvFormat kv, ops::Attention attention) {
  constexpr std::string_view kFlag = "--variants";
  constexpr std::string_view kPrefix = "kv-";
  if (name.find_first_of(" \t\n") != std::string_view::npos) {
    throw InputError(kFlag, "variant", quote(name), "WEIGHTS[+ATTENTION[+kv-FORMAT]], no spaces");
  }
  Variant variant;
  std::string_view rest = name;
  variant.weights = quant::format_from_name(take(rest, '+'), kFlag);
  variant.kv = kv;
  variant.attention = attention;
  if (!rest.empty()) variant.attention = ops::attention_from_name(take(rest, '+'), kFlag);
  if (!rest.empty()) {
    if (!rest.starts_with(kPrefix)) {
      throw InputError(kFlag, "variant", name, "WEIGHTS[+ATTENTION[+kv-FORMAT]]");
    }
    variant.kv = kv::kv_format_from_name(rest.substr(kPrefix.size()), kFlag);
  }
  return variant;
}

WeightFormat own_format(const ModelConfig& config) {
  const StoredQuantization stored = stored_quantization(config.quantization, "config.json");
  if (stored.method != StoredQuantization::Method::none) return stored.format;
  const DType dtype = config.dtype.value_or(DType::bf16);
  return dtype == DType::f64 ? fp32 : quant::dense_format(dtype);
}

std::vector<Variant> default_variants(const ModelConfig& config, kv::KvFormat kv) {
  const WeightFormat own = own_format(config);
  if (is_quantised(config)) return {{own, eager, kv}, {own, sdpa, kv}};
  if (config.architecture == Architecture::gpt2) {
    return {{fp32, eager, kv}, {fp16, eager, kv}, {int8, eager, kv},
            {fp16, sdpa, kv},  {int8, sdpa, kv},  {nf4_dq, sdpa, kv}};
  }
  return {{own, eager, kv}, {int8, eager, kv}, {nf4_dq, eager, kv},
          {own, sdpa, kv},  {int8, sdpa, kv},  {nf4_dq, sdpa, kv}};
}

std::vector<Variant> variants_from_list(std::string_view list, const ModelConfig& config,
                                        kv::KvFormat kv, ops::Attention attention) {
  std::vector<Variant> variants;
  if (list == "all") {
    variants = default_variants(config, kv);
    for (const WeightFormat format : quant::all_formats()) {
      const bool known = std::ranges::any_of(
          variants, [&](const Variant& variant) { return variant.weights == format; });
      if (!known && !is_quantised(config)) variants.push_back({format, sdpa, kv});
    }
    return variants;
  }
  list = trimmed(list);
  while (!list.empty()) {
    const std::string_view name = trimmed(take(list, ','));
    if (name.empty()) {
      throw InputError("--variants", "list", "nothing before a comma", "WEIGHTS+ATTENTION,...");
    }
    if (name == "all") {
      throw InputError("--variants", "list", "all among others", "all alone, or names without it");
    }
    const Variant variant = variant_from_name(name, kv, attention);
    if (std::ranges::find(variants, variant) != variants.end()) {
      throw InputError("--variants", "list", variant.name() + " twice", "each variant once");
    }
    variants.push_back(variant);
  }
  if (variants.empty()) {
    throw InputError("--variants", "list", "nothing", "WEIGHTS+ATTENTION,... or all");
  }
  return variants;
}

std::vector<Variant> with_attention(const std::vector<Variant>& variants,
                                    ops::Attention attention) {
  std::vector<Variant> changed;
  for (Variant variant : variants) {
    variant.attention = attention;
    if (std::ranges::find(changed, variant) == changed.end()) changed.push_back(variant);
  }
  return changed;
}

std::optional<std::size_t> reference_among(const std::vector<Variant>& variants,
                                           const ModelConfig& config,
                                           const std::function<bool(std::size_t)>& is_preferred) {
  const WeightFormat own = own_format(config);
  const auto first = [&](const auto& serves) -> std::optional<std::size_t> {
    std::optional<std::size_t> found;
    for (std::size_t i = 0; i < variants.size(); ++i) {
      if (is_quantised(variants[i].kv) || !serves(variants[i].weights)) continue;
      if (is_preferred(i)) return i;
      if (!found) found = i;
    }
    return found;
  };
  const auto found = first([&](WeightFormat format) { return format == own; });
  return found ? found : first([](WeightFormat format) { return quant::is_dense(format); });
}

Variant own_reference(const ModelConfig& config, const ops::Context& context) {
  const kv::KvFormat dense = context.device != nullptr ? kv::KvFormat::fp16 : kv::KvFormat::f32;
  return {own_format(config), sdpa, is_quantised(context.kv) ? dense : context.kv};
}

}  // namespace plimsoll::study
