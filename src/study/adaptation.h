// The study's last step: the winner adapted to a text by a small adapter, judged before and after.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/progress.h"
#include "ops/context.h"
#include "quant/matrix.h"
#include "train/finetune.h"

namespace plimsoll::study {

struct AdaptationOptions {
  std::string model;  // a checkpoint folder
  quant::WeightFormat weights = quant::WeightFormat::nf4_dq;
  ops::Context context;  // of the samples
  std::string text;      // what is learnt, its end held out; UTF-8
  std::string sample_prompt;
  /// About a minute for a model of ten million weights on two cores.
  std::int64_t steps = 60;
  std::int64_t batch = 4;
  std::int64_t sequence = 256;
  Progress progress;
  std::function<void(Model&)> on_loaded;  // adapters, put beside the weights as the study had them
};

struct Adaptation {
  quant::WeightFormat weights = quant::WeightFormat::nf4_dq;  // that were learnt beside
  train::Evaluation before, after;                            // of the held-out end
  std::string sample_before, sample_after;      // greedy continuations of the study's prompt
  std::vector<nlohmann::ordered_json> metrics;  // the training curve, rows as in metrics.jsonl
  double seconds = 0;
};

/// LoRA of rank 16 beside every linear layer, the weights in the format that was asked for (formats
/// that need calibration draw from the first chapters built in). InputError when the text is too
/// short.
Adaptation adapt(const AdaptationOptions& options);

/// For a terminal.
std::string as_text(const Adaptation& adaptation);
nlohmann::ordered_json as_json(const Adaptation& adaptation);

}  // namespace plimsoll::study
