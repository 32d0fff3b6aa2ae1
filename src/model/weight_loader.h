// Where a model's weights come from. An architecture asks for what it needs by name and shape; the
// loader finds it in a checkpoint, makes it up, or only takes note.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ops/linear.h"

namespace plimsoll {

/// Parts of a model, as profiles and inventories name them.
enum class Part { embedding, attention, mlp, norm, head };
std::string_view part_name(Part part);

/// A linear layer that an architecture has.
struct LinearSpec {
  std::string name;  // the module: tensors NAME.weight and, with a bias, NAME.bias
  std::int64_t out = 0;
  std::int64_t in = 0;
  bool bias = false;
  bool conv1d = false;  // stored as [in, out] (GPT-2's Conv1D)
  Part part = Part::attention;
};

class WeightLoader {
 public:
  virtual ~WeightLoader() = default;
  virtual ops::Linear linear(const LinearSpec& spec) = 0;
  /// A dense table [rows, columns] of embeddings.
  virtual quant::Matrix table(const std::string& name, std::int64_t rows, std::int64_t columns) = 0;
  /// f32 [size].
  virtual Tensor vector(const std::string& name, std::int64_t size) = 0;
};

}  // namespace plimsoll
