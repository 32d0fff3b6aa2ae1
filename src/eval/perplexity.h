// How well a model predicts a text.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/progress.h"
#include "eval/protocol.h"
#include "model/model.h"

namespace plimsoll {

/// The kernels that ran, by name (core/variant.h).
using Kernels = std::set<std::string_view>;

struct Perplexity {
  ProtocolOptions protocol;
  std::int64_t tokens = 0;  // in the text, BOS included
  std::int64_t tokens_scored = 0;
  double nll = 0;         // mean negative log likelihood a scored token, nats
  double ppl = 0;         // exp(nll)
  double ppl_stderr = 0;  // ppl * standard error of nll, tokens taken as independent
  double seconds = 0;
  std::int64_t tokens_processed = 0;  // rows that went through the model
  Kernels kernels;

  double tokens_per_second() const {
    return seconds > 0 ? static_cast<double>(tokens_processed) / seconds : 0;
  }
};

struct ScoreOptions {
  ProtocolOptions protocol;
  bool allow_long = false;
  bool model_adds_bos = false;  // llama.cpp's windows begin with BOS then
  std::optional<std::int32_t> bos_id;
  Progress progress;
};

/// A model and how it computes.
struct Scored {
  const Model* model = nullptr;
  ops::Context context;
};

/// A few rows of one window: row i of each model's logits predicts targets[i].
struct ScoredRows {
  std::span<const Tensor> logits;         // one [rows, vocab] for each model
  std::span<const std::int32_t> targets;  // [rows]
  double weight = 1;                      // of each row in the mean
  std::size_t window = 0;                 // index
};

/// InputError when the text is too short for the protocol, ids are out of range or the window is
/// beyond the model's context: all that can be known before a model is loaded.
void check_scorable(const ModelConfig& config, std::span<const std::int32_t> ids,
                    const ScoreOptions& options);

/// Runs the models, which share a vocabulary, in lock step over the protocol's windows. Never holds
/// more than a few MB of logits. InputError as check_scorable() has it. Returns what each model ran
/// in the first window; empty where a trace is being recorded already.
std::vector<Kernels> for_each_scored(std::span<const Scored> models,
                                     std::span<const std::int32_t> ids, const ScoreOptions& options,
                                     const std::function<void(const ScoredRows&)>& on_rows);

/// InputError when a mean loss is infinite or no number: the model's weights are damaged.
void require_finite_loss(double nll);

Perplexity perplexity(const Model& model, const ops::Context& context,
                      std::span<const std::int32_t> ids, const ScoreOptions& options);

/// log(sum(exp(logits))), in double.
double log_sum_exp(std::span<const float> logits);

}  // namespace plimsoll
