#pragma once

#include <string_view>

#include "model/inventory.h"
#include "model/stored_quantization.h"

namespace plimsoll {

/// A tensor's name without the base model's own ("model.", "transformer."), which base-model
/// checkpoints leave out.
std::string_view without_prefix(std::string_view name);

/// A mask or a table of frequencies that old checkpoints store: not a weight.
bool is_buffer(std::string_view name);

/// InputError naming the first tensor of a layer that the architecture, as config.json describes
/// it, has no use for: a layer too many, a bias that the config denies. To leave it out in silence
/// would give wrong numbers. Buffers are left out; tensors outside the layers (other heads) too.
/// And InputError naming config.json when the tensors are quantised and it does not say how.
void refuse_unknown_tensors(const Checkpoint& checkpoint, const StoredQuantization& stored,
                            const std::vector<InventoryLoader::Entry>& entries);

}  // namespace plimsoll
