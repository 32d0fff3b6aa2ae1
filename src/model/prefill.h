// Many tokens through a model, a chunk at a time, so that activations take the memory of a chunk
// and not of the text.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "core/progress.h"
#include "model/model.h"

namespace plimsoll {

/// Bytes of activations that a layer reads and writes for a token: x, its norm, Q, K, V, the mixed
/// values, gate and up.
std::int64_t activation_bytes(const ModelConfig& config);

/// Tokens that go through the model together: context.prefill_chunk, or where that is 0 on a GPU
/// 2048 and on the CPU the largest power of two, 128 to 1024, whose activations in a layer fit in
/// the last-level cache.
std::int64_t prefill_chunk(const ModelConfig& config, const ops::Context& context);

/// A pool in context.kv, where the context runs, with room for one sequence that grows to `tokens`,
/// a chunk at a time. With a window it is bounded by the window and the chunk. InputError when the
/// machine lacks the memory.
kv::BlockPool pool_for(const Model& model, const ops::Context& context, std::int64_t tokens);

/// Reads `ids`, which come behind what `sequence` holds, and hands on each chunk's final hidden
/// states [rows, hidden_size] with the index of its first id. `hidden` is Model::forward's, of the
/// chunk. `progress` is told after each chunk but the last. InputError when they do not fit in the
/// pool, and before the first chunk when a later one's attention would not fit in memory.
void forward_in_chunks(const Model& model, const ops::Context& context, kv::Sequence& sequence,
                       std::span<const std::int32_t> ids,
                       const std::function<void(std::int64_t first, const Tensor& last)>& on_chunk,
                       std::vector<Tensor>* hidden = nullptr, const Progress& progress = {});

/// The same with the hidden states of all ids [ids, hidden_size] in one tensor each, on the host.
Tensor hidden_states(const Model& model, const ops::Context& context, kv::Sequence& sequence,
                     std::span<const std::int32_t> ids, std::vector<Tensor>* hidden = nullptr,
                     const Progress& progress = {});

/// Reads `ids[i]` behind what `sequences[i]` holds, one after the other, as many rows in a pass as
/// prefill_chunk() says, whichever sequences they are of; all sequences are of one pool. Gives the
/// final hidden state of each sequence's last id [sequences, hidden_size], where the context runs.
Tensor read_together(const Model& model, const ops::Context& context,
                     std::span<kv::Sequence* const> sequences,
                     std::span<const std::span<const std::int32_t>> ids);

}  // namespace plimsoll
