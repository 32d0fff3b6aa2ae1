#include "study/fit.h"

#include <algorithm>

#include "core/error.h"
#include "core/memory.h"
#include "core/units.h"
#include "kv/block_pool.h"
#include "model/inventory.h"
#include "model/prefill.h"
#include "ops/device.h"

namespace plimsoll::study {

namespace {

std::string bytes_text(std::int64_t bytes) {
  return format_bytes(static_cast<std::uint64_t>(bytes));
}

/// What may be used: --memory-limit, but never more than the machine has left.
std::int64_t allowed(const ops::Context& context, std::optional<std::int64_t> limit) {
  const auto available = static_cast<std::int64_t>(ops::available_memory(context));
  return limit ? std::min(*limit, available) : available;
}

/// Of a layer, in their order, as a GPU has them.
std::vector<ops::ProductSize> products_of(const ModelConfig& config) {
  const std::int64_t width = config.heads * config.head_dim;
  const bool gated = config.architecture != Architecture::gpt2;
  return {{width + 2 * config.kv_heads * config.head_dim, config.hidden_size, false},
          {config.hidden_size, width, false},
          {(gated ? 2 : 1) * config.intermediate_size, config.hidden_size, gated},
          {config.hidden_size, config.intermediate_size, false}};
}

}  // namespace

MemoryNeed memory_need(const ModelConfig& config, const Variant& variant,
                       const ops::Context& context, std::int64_t positions) {
  MemoryNeed need;
  need.weights = total_bytes(config, variant.weights);
  const kv::KvShape cache{config.layers, config.kv_heads, config.head_dim, variant.kv, 0};
  need.kv = cache.bytes_per_token() * positions;
  const std::int64_t rows = std::min(prefill_chunk(config, context), positions);
  std::int64_t floats = rows * (3 * config.hidden_size + 2 * config.intermediate_size +
                                2 * (config.heads + config.kv_heads) * config.head_dim) +
                        config.vocab_size;
  if (variant.attention == ops::Attention::eager) floats += config.heads * rows * positions;
  constexpr std::int64_t kBytesOfFloat = 4;
  if (context.device != nullptr) {
    const ops::Heads heads{config.heads, config.kv_heads, config.head_dim};
    need.workspace =
        kBytesOfFloat * floats + context.device->scratch_bytes(products_of(config), heads, rows);
    // Beside its scores a GPU has their softmax in 16 bits.
    constexpr std::int64_t kBytesOfWeight = 2;
    if (variant.attention == ops::Attention::eager)
      need.workspace += kBytesOfWeight * config.heads * rows * positions;
    return need;
  }
  std::int64_t largest = 0;
  for (const InventoryLoader::Entry& tensor : inventory(config)) {
    largest = std::max(largest, tensor.rows * tensor.columns);
  }
  need.workspace = kBytesOfFloat * std::max(floats, largest);
  return need;
}

std::optional<std::string> why_not(const MemoryNeed& need, const ops::Context& context,
                                   std::optional<std::int64_t> limit) {
  if (limit && need.total() > *limit) {
    return fmt::format("needs {}, --memory-limit allows {}", bytes_text(need.total()),
                       bytes_text(*limit));
  }
  if (const std::int64_t most = allowed(context, limit); need.total() > most) {
    return fmt::format("needs {}, {} are available", bytes_text(need.total()), bytes_text(most));
  }
  return std::nullopt;
}

void refuse_all(const std::string& model, const ModelConfig& config,
                const std::vector<Variant>& variants, const ops::Context& context,
                std::int64_t positions, std::optional<std::int64_t> limit) {
  const auto need_of = [&](const Variant& variant) {
    return memory_need(config, variant, context, positions).total();
  };
  const Variant& smallest = *std::ranges::min_element(variants, {}, need_of);
  std::vector<std::string> would;
  Variant least = smallest;
  for (const quant::WeightFormat format : quant::all_formats()) {
    const Variant variant{format, ops::Attention::sdpa, smallest.kv};
    if (need_of(variant) <= allowed(context, limit)) would.push_back(variant.name());
    if (need_of(variant) < need_of(least)) least = variant;
  }
  throw InputError(fmt::format(
      "{}: no variant fits the memory: {} needs {}, {} are {}; {}", model, smallest.name(),
      bytes_text(need_of(smallest)), bytes_text(allowed(context, limit)),
      limit && allowed(context, limit) == *limit ? "what --memory-limit allows" : "available",
      !would.empty() ? fmt::format("{} would", fmt::join(would, ", "))
      : least == smallest
          ? "none of any format would"
          : fmt::format("none would, {} needs {}", least.name(), bytes_text(need_of(least)))));
}

}  // namespace plimsoll::study
