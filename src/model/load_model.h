// From what the user typed to a model.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/progress.h"
#include "model/checkpoint_loader.h"
#include "model/model.h"

namespace plimsoll {

struct LoadOptions {
  WeightPlan weights;
  /// shape: models with learned positions get room for this many; others have room for any.
  std::int64_t context = 0;
  /// The GPU that the model will be moved to: nothing is packed for the CPU, and random layers of
  /// one shape share their memory until then.
  ops::Device* device = nullptr;
  Progress progress;
  OnEncoded on_encoded;
};

/// `name` is a checkpoint folder or "shape:NAME". InputError for all that can be wrong with it, and
/// when the machine has too little memory (saying how much is needed).
std::unique_ptr<Model> load_model(const std::string& name, const LoadOptions& options = {});

/// Model::move_to() after a look at what is free. InputError where that is too little, saying how
/// much is needed and which formats would fit.
void move_model(Model& model, const std::string& name, ops::Device& device);

/// The config alone, of a folder or a shape.
ModelConfig load_config(const std::string& name);
bool is_shape(const std::string& name);

}  // namespace plimsoll
