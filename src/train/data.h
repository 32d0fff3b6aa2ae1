// What is learnt: a stream of tokens, or examples of which a part is scored; and which of it a step
// sees. Nothing here is remembered from step to step: a resumed run draws the same.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "text/tokenizer.h"
#include "train/network.h"

namespace plimsoll::train {

struct Example {
  std::vector<std::int32_t> ids;
  std::vector<std::uint8_t> scored;  // whether ids[i] is to be predicted; as many
};

/// Either of the two.
struct Material {
  std::vector<std::int32_t> stream;
  std::vector<Example> examples;
  bool is_stream() const { return examples.empty(); }
};

/// Texts become one stream, encoded one by one as the tokenizer frames them. Files that end in
/// .jsonl have an object a line, with one of
///   {"prompt": ..., "completion": ...}   scored: the completion and an end of sequence behind it
///   {"messages": [{"role", "content"}]}  through the chat template of `model`; scored: what the
///                                        assistant says
///   {"text": ...}                        scored: all of it
/// InputError naming file, line and field; when both kinds are mixed; and when nothing is scored.
Material read_material(const std::vector<std::string>& files, const std::string& model,
                       const Tokenizer& tokenizer);

struct DataOptions {
  std::int64_t sequence = 256;  // tokens of a window; examples are cut there
  std::int64_t batch = 8;       // sequences of a micro-batch
  std::int64_t accumulate = 1;  // micro-batches of a step
  double eval_split = 0.1;      // the end that is held out
  bool pack = false;            // in order instead of at random
  std::uint64_t seed = 0;
};

class Dataset {
 public:
  /// InputError when what is trained on, or what is held out, is shorter than one window (or
  /// example).
  Dataset(Material material, const DataOptions& options);

  /// The micro-batches of step `step` (from 1).
  std::vector<TrainingBatch> step(std::int64_t step) const;
  /// The held-out end in batches; empty when nothing is held out.
  std::vector<TrainingBatch> held_out() const;
  /// Steps that go through what is trained on `epochs` times.
  std::int64_t steps_of(double epochs) const;
  const DataOptions& options() const { return options_; }
  /// Tokens or examples, trained on and held out, for those who wait.
  std::string description() const;

 private:
  /// Windows or examples that there are to train on.
  std::int64_t units() const;
  void add_unit(TrainingBatch& batch, std::int64_t index) const;

  Material material_;
  DataOptions options_;
  std::int64_t trained_ = 0;  // tokens or examples before the held-out end
};

}  // namespace plimsoll::train
