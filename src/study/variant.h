// One way to run a model: what the study compares.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ops/context.h"
#include "quant/matrix.h"
#include "storage/model_config.h"

namespace plimsoll::study {

struct Variant {
  quant::WeightFormat weights = quant::WeightFormat::bf16;
  ops::Attention attention = ops::Attention::sdpa;
  kv::KvFormat kv = kv::KvFormat::f32;

  /// "bf16+sdpa"; keys and values in another format than fp32 are named: "bf16+sdpa+kv-int8".
  std::string name() const;
  /// `base` with this variant's attention and cache format.
  ops::Context context(ops::Context base) const;
  bool operator==(const Variant&) const = default;
};

/// WEIGHTS[+ATTENTION[+kv-FORMAT]]; what is not named: `attention` and `kv`. InputError naming
/// --variants.
Variant variant_from_name(std::string_view name, kv::KvFormat kv,
                          ops::Attention attention = ops::Attention::sdpa);
/// The format that the linear layers of a checkpoint are stored in.
quant::WeightFormat own_format(const ModelConfig& config);
/// What is compared unless the user says otherwise: the checkpoint's own dtype (GPT-2: fp32 and
/// fp16), one format each of eight and of four bits, with eager and with fused attention. Of a
/// checkpoint that is quantised already, what it holds.
std::vector<Variant> default_variants(const ModelConfig& config, kv::KvFormat kv);
/// "all": the default ones, and every other format with fused attention; otherwise comma-separated
/// names, each once.
std::vector<Variant> variants_from_list(std::string_view list, const ModelConfig& config,
                                        kv::KvFormat kv,
                                        ops::Attention attention = ops::Attention::sdpa);
/// The same weights with one attention, each once.
std::vector<Variant> with_attention(const std::vector<Variant>& variants, ops::Attention attention);
/// The index of the variant that quality is judged against, where one of them serves: the first in
/// the checkpoint's own format, else the first dense one. What `is_preferred` goes before its like.
/// One whose keys and values are quantised does not serve: what that loses would not be seen.
std::optional<std::size_t> reference_among(const std::vector<Variant>& variants,
                                           const ModelConfig& config,
                                           const std::function<bool(std::size_t)>& is_preferred);
/// What quality is judged against where none of the variants serves: the checkpoint's own format,
/// fused attention, and the context's keys and values unless those are quantised.
Variant own_reference(const ModelConfig& config, const ops::Context& context);

}  // namespace plimsoll::study
