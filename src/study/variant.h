// One way to run a model: what the study compares.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ops/context.h"
#include "quant/matrix.h"

namespace plimsoll::study {

struct Variant {
  quant::WeightFormat weights = quant::WeightFormat::bf16;
  ops::Attention attention = ops::Attention::sdpa;

  /// "bf16+sdpa"
  std::string name() const;
};

/// "bf16+flash", or "bf16" with `attention`. InputError naming --variants.
Variant variant_from_name(std::string_view name, ops::Attention attention);
/// Comma-separated names, each once.
std::vector<Variant> variants_from_list(std::string_view list, ops::Attention attention);
/// What is compared unless the user says otherwise: the dense formats, the most precise first, and
/// one format each of eight and of four bits.
std::vector<Variant> default_variants(ops::Attention attention);

}  // namespace plimsoll::study
