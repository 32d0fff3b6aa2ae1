// A loaded language model: ids in, hidden states and logits out.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "kv/sequence.h"
#include "model/weight_loader.h"
#include "ops/attention.h"
#include "ops/context.h"
#include "ops/layer.h"
#include "ops/linear.h"
#include "storage/model_config.h"

namespace plimsoll {

/// New tokens of several sequences as one flat list of rows: a prompt, one token each of many
/// sequences, or any mixture.
struct Batch {
  std::vector<std::int32_t> ids;        // [rows]
  std::vector<std::int64_t> positions;  // [rows]
  std::vector<ops::SequenceRows> sequences;
  /// The same, where a GPU's memory has it already.
  const ops::DeviceRows* resident = nullptr;

  /// Appends `new_ids` to the batch and makes room for them in the sequence's cache.
  void add(kv::Sequence& sequence, std::span<const std::int32_t> new_ids);
  std::int64_t rows() const { return static_cast<std::int64_t>(ids.size()); }
  /// What the operations of a step take: on a GPU copied there unless it is resident.
  ops::Rows rows_for(const ops::Context& context) const;
};

class Model {
 public:
  virtual ~Model() = default;

  const ModelConfig& config() const { return config_; }
  /// Of a cache for this model. It has a window where every layer has it.
  kv::KvShape kv_shape(kv::KvFormat format = kv::KvFormat::f32) const;

  /// Final hidden states (after the last norm) [rows, hidden_size] f32, in the batch's order;
  /// appends the batch to its sequences' caches. `hidden`, where given, receives the embeddings,
  /// each layer's output but the last's, and the final hidden states: layers + 1 tensors, as
  /// Hugging Face's output_hidden_states has them.
  virtual Tensor forward(const ops::Context& context, const Batch& batch,
                         std::vector<Tensor>* hidden = nullptr) const = 0;
  /// [rows, hidden_size] -> [rows, vocab_size] f32. Both of a step's results lie where the context
  /// runs; `hidden` may also lie on the host.
  virtual Tensor logits(const ops::Context& context, const Tensor& hidden) const = 0;

  /// Every linear layer in the order of computation, the head last.
  virtual void visit_linears(const std::function<void(ops::Linear&)>& visit) = 0;
  /// Rearranges every linear layer that still lies as stored for the kernels (ops::pack). The model
  /// can then be run, and neither saved nor calibrated.
  void pack_weights();
  /// Moves the weights to a GPU. The model can then be run there alone, by contexts of that device.
  /// InputError where the GPU has no kernel for a layer or not the memory, naming both.
  virtual void move_to(ops::Device& device) = 0;
  /// Bytes that the weights take in memory, each counted once.
  std::int64_t weight_bytes() const { return weight_bytes_; }
  /// After the matrix of a linear layer was replaced: `before` bytes of it went, `after` came.
  void replace_weight_bytes(std::int64_t before, std::int64_t after) {
    weight_bytes_ += after - before;
  }

 protected:
  /// The token embeddings: a tied head shares their storage.
  virtual quant::Matrix& token_table() = 0;

  explicit Model(ModelConfig config) : config_(std::move(config)) {}

 private:
  friend std::unique_ptr<Model> build_model(const ModelConfig& config, WeightLoader& loader);
  ModelConfig config_;
  std::int64_t weight_bytes_ = 0;
};

/// The architecture of `config` with weights from `loader`.
std::unique_ptr<Model> build_model(const ModelConfig& config, WeightLoader& loader);

/// One file each.
std::unique_ptr<Model> make_gpt2(const ModelConfig& config, WeightLoader& loader);
std::unique_ptr<Model> make_llama(const ModelConfig& config, WeightLoader& loader);

}  // namespace plimsoll
