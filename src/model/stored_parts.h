// What a checkpoint on disk weighs, part by part, in the format that it is stored in.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "model/stored_quantization.h"
#include "storage/model_config.h"

namespace plimsoll {

struct StoredPart {
  std::int64_t bytes = 0;         // of all its tensors, scales and statistics counted
  std::set<std::string> formats;  // of its matrices: "nf4-dq", "fp16"; empty for norms and biases
};

/// By part ("embedding", "attention", ...; "other" for tensors that the architecture has no use
/// for). Reads the headers only.
std::map<std::string, StoredPart> stored_parts(const ModelConfig& config,
                                               const Checkpoint& checkpoint,
                                               const StoredQuantization& stored);

}  // namespace plimsoll
