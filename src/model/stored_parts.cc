#include "model/stored_parts.h"

#include <string_view>

#include "model/inventory.h"
#include "model/unknown_tensors.h"

namespace plimsoll {

namespace {

/// "model.layers.0.mlp.up_proj.weight.absmax" -> the longest leading module that is known.
const Part* part_of(const std::map<std::string, Part, std::less<>>& modules,
                    std::string_view tensor) {
  for (std::size_t dot = tensor.rfind('.'); dot != std::string_view::npos && dot > 0;
       dot = tensor.rfind('.', dot - 1)) {
    const auto found = modules.find(tensor.substr(0, dot));
    if (found != modules.end()) return &found->second;
  }
  return nullptr;
}

bool is_floating(DType dtype) {
  return dtype == DType::f64 || dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16;
}

}  // namespace

std::map<std::string, StoredPart> stored_parts(const ModelConfig& config,
                                               const Checkpoint& checkpoint,
                                               const StoredQuantization& stored) {
  std::map<std::string, Part, std::less<>> modules;
  for (const InventoryLoader::Entry& entry : inventory(config)) {
    const std::string_view name = without_prefix(entry.name);
    modules.emplace(name.substr(0, name.rfind('.')), entry.part);
  }
  std::map<std::string, StoredPart> parts;
  for (const std::string& full_name : checkpoint.names()) {
    const std::string_view name = without_prefix(full_name);
    const Part* known = part_of(modules, name);
    StoredPart& part = parts[known == nullptr ? "other" : std::string(part_name(*known))];
    const TensorInfo& info = checkpoint.info(full_name);
    part.bytes += static_cast<std::int64_t>(info.bytes());
    if (known == nullptr || info.shape.size() < 2) continue;
    const std::string module = full_name.substr(0, full_name.rfind('.'));
    if (is_stored_quantized(checkpoint, stored, module)) {
      part.formats.emplace(quant::format_name(stored.format));
    } else if (name.ends_with(".weight") && is_floating(info.dtype)) {
      part.formats.emplace(
          info.dtype == DType::f64 ? "fp64" : quant::format_name(quant::dense_format(info.dtype)));
    }
  }
  return parts;
}

}  // namespace plimsoll
