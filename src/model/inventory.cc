#include "model/inventory.h"

#include "model/model.h"
#include "quant/stored_bytes.h"

namespace plimsoll {

ops::Linear InventoryLoader::linear(const LinearSpec& spec) {
  entries_.push_back(
      {spec.name + ".weight", spec.part, spec.out, spec.in, spec.part != Part::head});
  if (spec.bias) entries_.push_back({spec.name + ".bias", spec.part, spec.out, 1, false});
  return {};
}

quant::Matrix InventoryLoader::table(const std::string& name, std::int64_t rows,
                                     std::int64_t columns) {
  entries_.push_back({name, Part::embedding, rows, columns, false});
  return {};
}

Tensor InventoryLoader::vector(const std::string& name, std::int64_t size) {
  entries_.push_back({name, Part::norm, size, 1, false});
  return {};
}

std::vector<InventoryLoader::Entry> inventory(const ModelConfig& config) {
  InventoryLoader loader;
  build_model(config, loader);
  return loader.entries();
}

std::map<std::string, std::int64_t> bytes_by_part(const ModelConfig& config,
                                                  std::optional<quant::WeightFormat> format) {
  const quant::WeightFormat own = quant::dense_format(
      config.dtype.value_or(DType::bf16) == DType::f64 ? DType::f32
                                                       : config.dtype.value_or(DType::bf16));
  const quant::WeightFormat dense = format && quant::is_dense(*format) ? *format : own;
  std::map<std::string, std::int64_t> bytes;
  for (const InventoryLoader::Entry& entry : inventory(config)) {
    std::int64_t& part = bytes[std::string(part_name(entry.part))];
    if (entry.columns == 1) {
      part += entry.rows * 4;
    } else {
      const bool quantised =
          format && entry.quantisable && quant::can_hold(*format, entry.rows, entry.columns);
      part += quant::stored_bytes(quantised ? *format : dense, entry.rows, entry.columns);
    }
  }
  return bytes;
}

std::int64_t total_bytes(const ModelConfig& config, std::optional<quant::WeightFormat> format) {
  std::int64_t total = 0;
  for (const auto& [part, bytes] : bytes_by_part(config, format)) total += bytes;
  return total;
}

}  // namespace plimsoll
