// What a model consists of and weighs, without loading it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/weight_loader.h"
#include "storage/model_config.h"

namespace plimsoll {

/// Notes what an architecture asks for; what it returns is empty.
class InventoryLoader : public WeightLoader {
 public:
  struct Entry {
    std::string name;
    Part part;
    std::int64_t rows;
    std::int64_t columns;  // 1 for a vector
    bool quantisable;      // a linear layer other than the head
  };

  ops::Linear linear(const LinearSpec& spec) override;
  quant::Matrix table(const std::string& name, std::int64_t rows, std::int64_t columns) override;
  Tensor vector(const std::string& name, std::int64_t size) override;

  const std::vector<Entry>& entries() const { return entries_; }

 private:
  std::vector<Entry> entries_;
};

/// Every tensor that an architecture has.
std::vector<InventoryLoader::Entry> inventory(const ModelConfig& config);

/// Bytes in memory of each part ("embedding", "attention", ...) and of all. A dense format holds
/// for every matrix, a quantised one for the linear layers but the head, where it can hold the
/// matrix; the rest has the checkpoint's own dtype (bf16 when it names none), and all has it
/// without a format. Vectors are f32. A tied head counts once, as embedding.
std::map<std::string, std::int64_t> bytes_by_part(const ModelConfig& config,
                                                  std::optional<quant::WeightFormat> format);
std::int64_t total_bytes(const ModelConfig& config, std::optional<quant::WeightFormat> format);

}  // namespace plimsoll
