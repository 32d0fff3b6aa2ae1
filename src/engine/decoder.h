// One more token of each of some sequences, again and again, on a GPU. The step is captured once as
// a graph and replayed: ids, positions and block tables lie in the GPU's memory, where the step
// itself moves them forward.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "model/model.h"

namespace plimsoll {

/// The model and the sequences must outlive it; all sequences are of one pool. Others may read and
/// extend them between its calls.
class Decoder {
 public:
  /// `longest`: tokens that a sequence will ever have. `context` must have a device.
  Decoder(const Model& model, const ops::Context& context, std::vector<kv::Sequence*> sequences,
          std::int64_t longest);
  ~Decoder();
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  /// Reads `ids`, one a sequence, and gives the logits [sequences, vocab_size] f32 behind them, on
  /// the host. InputError when the pool is full.
  Tensor logits(std::span<const std::int32_t> ids);
  /// Reads `ids` and gives the likeliest next of each. With `more`, the next call's ids will be
  /// these: the GPU begins with them at once, so that it never waits for the host. Without, all is
  /// as if only `ids` had been read. InputError when a logit is not finite.
  std::vector<std::int32_t> likeliest(std::span<const std::int32_t> ids, bool more);
  /// Undoes what was begun for a call that does not come.
  void stop();

 private:
  /// Makes room for a token of each sequence and enqueues the step that reads what the GPU holds as
  /// ids.
  void step();
  void enqueue();
  /// What changed since the last step other than by the step itself.
  void send(std::span<const std::int32_t> ids);
  void send_tables();

  const Model* model_;
  ops::Context context_;
  std::vector<kv::Sequence*> sequences_;
  Batch batch_;
  ops::DeviceRows rows_;
  Tensor logits_;                     // of the last step
  Tensor replayed_logits_;            // where the graph leaves them
  std::vector<std::int32_t> tables_;  // as the GPU has them
  std::unique_ptr<ops::DeviceGraph> graph_;
  std::unique_ptr<ops::DeviceTokens> tokens_;
  bool warm_ = false;   // every kernel has been run
  bool begun_ = false;  // a step that the caller did not ask for yet
};

}  // namespace plimsoll
