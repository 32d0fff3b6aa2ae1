// A checkpoint with some of its weights replaced: what merging an adapter, or training, leaves.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "core/progress.h"
#include "core/tensor.h"

namespace plimsoll::compress {

/// f32 tensors by the name that Hugging Face gives them; matrices are [out, in] whatever the file
/// has.
using ChangedTensors = std::map<std::string, Tensor>;

/// Writes model.safetensors, config.json and the tokenizer's files into `folder`, which must exist:
/// the checkpoint `source` with `changed` in place of its own, in its dtype. Where the source is
/// quantised, `changed` must have every quantised matrix; they become dense in the config's dtype.
/// InputError naming a tensor whose values the dtype cannot hold.
void save_dense(const std::filesystem::path& source, const ChangedTensors& changed,
                const std::filesystem::path& folder, const Progress& progress);

}  // namespace plimsoll::compress
