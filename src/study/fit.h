// How much memory a variant needs, told before it is loaded.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "storage/model_config.h"
#include "study/variant.h"

namespace plimsoll::study {

/// Bytes, by what they hold. workspace is the larger of what a chunk of a prompt takes on its way
/// through a layer (with eager attention the score matrices too) and of what loading takes beside
/// the weights: the largest matrix in fp32 while it is encoded. On a GPU matrices are encoded
/// elsewhere, and what its kernels and the vendor's library work in is added to the former.
struct MemoryNeed {
  std::int64_t weights = 0, kv = 0, workspace = 0;
  std::int64_t total() const { return weights + kv + workspace; }
};

/// For texts of up to `positions` tokens, one at a time.
MemoryNeed memory_need(const ModelConfig& config, const Variant& variant,
                       const ops::Context& context, std::int64_t positions);

/// Why the variant cannot be measured; nullopt when it can. `limit` is --memory-limit.
std::optional<std::string> why_not(const MemoryNeed& need, const ops::Context& context,
                                   std::optional<std::int64_t> limit);

/// InputError that no variant fits, naming the weight formats that would, or that none would.
[[noreturn]] void refuse_all(const std::string& model, const ModelConfig& config,
                             const std::vector<Variant>& variants, const ops::Context& context,
                             std::int64_t positions, std::optional<std::int64_t> limit);

}  // namespace plimsoll::study
