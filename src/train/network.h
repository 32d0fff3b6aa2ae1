// A model as training sees it: its layers one by one over a Tape, and its weights by name.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/model.h"
#include "train/parameters.h"
#include "train/tape.h"

namespace plimsoll::train {

/// Whole sequences, one after the other as a flat list of rows. None sees another.
struct TrainingBatch {
  std::vector<std::int32_t> ids;        // [rows]
  std::vector<std::int32_t> targets;    // [rows]: the id that row r should predict; -1: not scored
  std::vector<std::int64_t> positions;  // [rows], from 0 in each sequence
  ops::SequenceBounds bounds{0};

  /// Row i predicts ids[i + 1] where scored[i + 1] is not 0; an empty `scored` means all.
  void add(std::span<const std::int32_t> ids, std::span<const std::uint8_t> scored = {});
  std::int64_t rows() const { return static_cast<std::int64_t>(ids.size()); }
  std::int64_t scored() const;
};

/// What every layer of a step shares.
struct StepInputs {
  const TrainingBatch* batch = nullptr;
  ops::RopeTable rotation;  // undefined where positions are learned
};

/// A weight by the name that the checkpoint gives it.
struct NamedTensor {
  std::string name;
  Tensor* value;          // f32 where it is a vector
  quant::Matrix* matrix;  // that it belongs to; null for vectors
  std::int64_t layer;     // -1: before the first, layers(): behind the last
};

/// Holds handles to a model's weights: adapters and copies that are put in here do not change the
/// model.
class Network {
 public:
  virtual ~Network() = default;

  const ModelConfig& config() const { return config_; }
  virtual StepInputs prepare(const TrainingBatch& batch) const = 0;
  virtual Value embed(Tape& tape, const StepInputs& inputs) const = 0;
  virtual Value layer(Tape& tape, const StepInputs& inputs, std::int64_t index, Value x) const = 0;
  virtual Value final_norm(Tape& tape, const Value& x) const = 0;
  virtual const ops::Linear& head() const = 0;
  /// Numbers that a layer keeps a row for its backward.
  virtual std::int64_t kept_per_row() const = 0;

  /// Every linear layer in order, the head last. `layer` is its index, layers for the head.
  using VisitLinear = std::function<void(ops::Linear& linear, std::int64_t layer)>;
  virtual void visit_linears(const VisitLinear& visit) = 0;
  /// Norms, embeddings and their like: all that visit_linears() leaves out. A tied head is not
  /// visited as a linear layer's weight, but here as the embedding.
  virtual void visit_others(const std::function<void(const NamedTensor&)>& visit) = 0;

  /// Moves what is computed with to a GPU: `parameters` and what they do not have, weights packed
  /// in their own format. The model keeps its own. InputError where there is not the memory, or no
  /// kernel for a width or a format.
  void move_to(ops::Device& device, Parameters& parameters);
  /// nullptr: the host's memory.
  ops::Device* device() const { return device_; }

 protected:
  explicit Network(ModelConfig config) : config_(std::move(config)) {}

 private:
  ModelConfig config_;
  ops::Device* device_ = nullptr;
};

std::unique_ptr<Network> make_network(const Model& model);

/// One file each.
std::unique_ptr<Network> make_llama_network(const Model& model);
std::unique_ptr<Network> make_gpt2_network(const Model& model);

}  // namespace plimsoll::train
