#include "study/variant.h"

#include <algorithm>

#include "core/error.h"

namespace plimsoll::study {

std::string Variant::name() const {
  return fmt::format("{}+{}", quant::format_name(weights), ops::attention_name(attention));
}

Variant variant_from_name(std::string_view name, ops::Attention attention) {
  const std::size_t plus = name.find('+');
  Variant variant;
  variant.weights = quant::format_from_name(name.substr(0, plus), "--variants");
  variant.attention = attention;
  if (plus != std::string_view::npos)
    variant.attention = ops::attention_from_name(name.substr(plus + 1), "--variants");
  return variant;
}

std::vector<Variant> variants_from_list(std::string_view list, ops::Attention attention) {
  std::vector<Variant> variants;
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    const Variant variant = variant_from_name(list.substr(0, comma), attention);
    if (std::any_of(variants.begin(), variants.end(),
                    [&](const Variant& v) { return v.name() == variant.name(); })) {
      throw InputError("--variants", "list", variant.name() + " twice", "each variant once");
    }
    variants.push_back(variant);
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  if (variants.empty()) throw InputError("--variants", "list", "nothing", "WEIGHTS+ATTENTION,...");
  return variants;
}

std::vector<Variant> default_variants(ops::Attention attention) {
  std::vector<Variant> variants;
  using enum quant::WeightFormat;
  for (const auto format : {fp32, bf16, fp16, int8, nf4_dq}) {
    variants.push_back({format, attention});
  }
  return variants;
}

}  // namespace plimsoll::study
