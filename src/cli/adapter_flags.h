// --adapter: LoRA adapters put on a model as it is loaded.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "model/model.h"

namespace plimsoll::cli {

struct AdapterFlags {
  std::vector<std::string> adapters;  // "DIR" or "DIR:WEIGHT"

  /// Adds every adapter to the model. InputError naming the flag, or what is wrong in the folder.
  void attach(Model& model, const std::string& model_name) const;
};

CLI::Option* add_adapter_flags(CLI::App& command, AdapterFlags& flags);

}  // namespace plimsoll::cli
