// A piece of work of a given size, for timing: so many tokens read at once, so many generated one
// by one, behind so many that the cache holds already.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/decoder.h"
#include "model/model.h"

namespace plimsoll {

struct Workload {
  std::int64_t prompt = 0;    // tokens of each sequence read first, see read_together()
  std::int64_t generate = 0;  // tokens of each sequence generated then, one a step
  std::int64_t depth = 0;     // tokens that each sequence has read before the clock starts
  std::int64_t batch = 1;     // sequences at once

  /// Over all sequences.
  std::int64_t tokens() const { return batch * (prompt + generate); }
  /// Room that a sequence needs.
  std::int64_t positions() const { return depth + prompt + generate; }
  /// As llama-bench names tests: "pp512", "tg128", "pp512+tg128 @ d1024".
  std::string name() const;
};

/// A workload made ready: cache allocated, depth read. The model must outlive it.
class WorkloadRun {
 public:
  /// Ids are random with a fixed seed. InputError when the model has not so many positions or the
  /// machine lacks the memory.
  WorkloadRun(const Model& model, const ops::Context& context, const Workload& workload);

  /// Runs it once: seconds of the passes, the logits wanted (of each sequence's last token) and
  /// their greedy choice. No tokenizer. The cache is then as before.
  double seconds();

 private:
  /// Generates a token of each sequence, again and again.
  void generate(std::int64_t count);
  /// Reads `count` ids of each sequence and chooses what comes next.
  void read(std::int64_t count);
  /// Each sequence's next id from its last token's hidden state.
  void choose(const Tensor& hidden);
  std::vector<kv::Sequence*> pointers();

  const Model* model_;
  ops::Context context_;
  Workload workload_;
  kv::BlockPool pool_;
  std::vector<kv::Sequence> sequences_;
  std::vector<std::vector<std::int32_t>> prompts_;  // a sequence's ids, or the first to be fed
  std::vector<std::int32_t> next_;                  // what each sequence chose last
  std::unique_ptr<Decoder> decoder_;                // on a GPU
};

}  // namespace plimsoll
