#include "model/unknown_tensors.h"

#include <algorithm>
#include <cstddef>
#include <set>
#include <span>
#include <string_view>

namespace plimsoll {

namespace {

bool is_in_a_layer(std::string_view name) {
  return name.starts_with("layers.") || name.starts_with("h.");
}

/// Of a quantised matrix, in any layout that we read.
bool is_quantised(std::string_view name) {
  return name.ends_with(".qweight") || name.ends_with(".g_idx") || name.ends_with(".SCB") ||
         name.ends_with(".weight.absmax") || name.ends_with(".weight_scale");
}

bool is_zero(const Tensor& tensor) {
  return std::ranges::all_of(std::span(tensor.raw(), tensor.bytes()),
                             [](std::byte byte) { return byte == std::byte{0}; });
}

}  // namespace

std::string_view without_prefix(std::string_view name) {
  for (const std::string_view prefix : {"model.", "transformer."}) {
    if (name.starts_with(prefix)) return name.substr(prefix.size());
  }
  return name;
}

bool is_buffer(std::string_view name) {
  return name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias") ||
         name.ends_with(".rotary_emb.inv_freq");
}

void refuse_unknown_tensors(const Checkpoint& checkpoint, const StoredQuantization& stored,
                            const std::vector<InventoryLoader::Entry>& entries) {
  constexpr std::string_view kWeight = ".weight";
  std::set<std::string, std::less<>> names, quantised_modules;
  for (const InventoryLoader::Entry& entry : entries) {
    const std::string_view name = without_prefix(entry.name);
    names.emplace(name);
    if (stored.method != StoredQuantization::Method::none && name.ends_with(kWeight)) {
      quantised_modules.emplace(name.substr(0, name.size() - kWeight.size()));
    }
  }
  // X.weight.absmax, X.SCB, X.qweight, ...
  const auto is_statistic = [&](std::string_view name) {
    for (std::size_t dot = name.rfind('.'); dot != std::string_view::npos && dot > 0;
         dot = name.rfind('.', dot - 1)) {
      if (quantised_modules.contains(name.substr(0, dot))) return true;
    }
    return false;
  };
  for (const std::string& full_name : checkpoint.names()) {
    const std::string_view name = without_prefix(full_name);
    if (!is_in_a_layer(name) || is_buffer(name) || names.contains(name)) continue;
    // Old GPTQ files hold a bias of zeros beside every matrix.
    if (is_statistic(name) && (!name.ends_with(".bias") || is_zero(checkpoint.tensor(full_name))))
      continue;
    if (stored.method == StoredQuantization::Method::none && is_quantised(name)) {
      throw InputError((checkpoint.directory() / "config.json").string(), "quantization_config",
                       "nothing, though the weights are quantised (" + full_name + ")",
                       "how they are");
    }
    throw InputError(checkpoint.file_of(full_name).string(), full_name,
                     "a tensor that the model in config.json does not have",
                     "the layers and biases that config.json describes");
  }
}

}  // namespace plimsoll
