// One text that grows: a prompt, an answer, the next prompt behind it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/tensor.h"
#include "engine/decoder.h"
#include "engine/generate.h"
#include "kv/sequence.h"
#include "model/model.h"
#include "ops/context.h"

namespace plimsoll {

/// Keeps the keys and values of what it has read, so that of a prompt that begins as the last one
/// did only the rest goes through the model. The model must outlive it. Not thread-safe.
class Session {
 public:
  /// Room for `capacity` tokens. InputError when the machine lacks the memory.
  Session(const Model& model, const ops::Context& context, std::int64_t capacity);

  /// Reads `ids`, which must not be empty, and returns the logits [1, vocab_size] f32 of their last
  /// token. What the session has read before is kept as far as `ids` begin with it, and forgotten
  /// beyond. InputError when they do not fit; Interrupted where `progress` says stop, what was read
  /// until then is kept.
  Tensor read(std::span<const std::int32_t> ids, const Progress& progress = {});

  /// Continues `prompt`. InputError for an empty prompt, ids out of range, and a prompt longer than
  /// the model's context or this session.
  Generation generate(std::span<const std::int32_t> prompt, const GenerateOptions& options,
                      const OnToken& on_token = {});

  void reset() { forget_all_but(0); }

  /// What has been read, in order.
  std::span<const std::int32_t> ids() const { return ids_; }
  std::int64_t capacity() const { return capacity_; }

 private:
  /// How many of `ids` need not go through the model.
  std::size_t reusable(std::span<const std::int32_t> ids) const;
  void forget_all_but(std::size_t count);
  /// InputError when a prompt of so many tokens is beyond the capacity.
  void require_room(std::size_t tokens) const;
  /// Logits of the last of `ids`, which come behind what has been read.
  Tensor append(std::span<const std::int32_t> ids, const Progress& progress);
  /// On a GPU: the likeliest token behind `id`, which comes behind what has been read. `more` as in
  /// Decoder::likeliest().
  std::int32_t likeliest(std::int32_t id, bool more);
  Decoder& decoder();

  const Model* model_;
  ops::Context context_;
  std::int64_t capacity_;
  kv::BlockPool pool_;
  kv::Sequence sequence_;
  std::vector<std::int32_t> ids_;     // of the tokens in sequence_
  std::unique_ptr<Decoder> decoder_;  // once it was wanted
};

}  // namespace plimsoll
