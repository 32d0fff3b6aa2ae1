// Fine-tuning from a loaded model to an adapter or a checkpoint: the loop around loss_and_gradient.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "core/progress.h"
#include "train/data.h"
#include "train/metrics.h"
#include "train/schedule.h"
#include "train/trainable.h"

namespace plimsoll::train {

enum class Recompute { automatic, always, never };
/// "auto", "on" or "off"; InputError naming --recompute.
Recompute recompute_from_name(const std::string& name);

struct FinetuneOptions {
  Trained trained;
  AdapterConfig adapter{"", 16, 32, 0, {"all-linear"}};  // lora only
  std::optional<Adapter> beginning;  // lora: trained further instead of a new one; `adapter` is
                                     // then its config, with the base as errors should name it
  std::int64_t steps = 400;
  double rate = 1e-3;
  Schedule schedule = Schedule::cosine;
  std::int64_t warmup = 20;
  double weight_decay = 0;                     // of matrices; vectors never decay
  double clip = 0;                             // largest norm of all gradients together; 0: any
  std::uint64_t seed = 0;                      // of the adapters' beginning and of dropout
  Recompute recompute = Recompute::automatic;  // automatic: where layers would keep over 512 MB, on
                                               // a GPU over half of what is free
  ops::Device* device = nullptr;               // the GPU to train on; nullptr: the CPU

  /// Checkpoints, metrics.jsonl, and the result; must exist. Empty: nothing is written.
  std::filesystem::path folder;
  std::int64_t checkpoint_every = 0;  // steps, and after the last; 0: only when interrupted
  bool resume = false;
  std::string recipe = "{}";  // everything that the losses depend on, as JSON
  std::int64_t log_every = 1;
  Progress progress;  // told "training, loss L, T tokens/s"
};

struct Evaluation {
  double nll = 0;  // mean of the held-out tokens, nats
  double ppl = 0;
};

struct FinetuneResult {
  std::vector<nlohmann::ordered_json> metrics;
  std::optional<Evaluation> before, after;  // none when nothing is held out
  AdapterConfig adapter;                    // lora: what save_adapter takes
  std::vector<AdapterLayer> layers;
  Parameters parameters;  // as trained
  std::int64_t steps = 0;
  std::int64_t tokens = 0;  // rows of all steps
  double seconds = 0;       // in steps, evaluation left out
};

/// Trains. `model` itself is not changed. InputError as add_adapters and add_dense have it, when
/// the loss is not finite (naming the step; the last good checkpoint stays), when a file cannot be
/// written, and as Network::move_to() has it. Interrupted leaves a checkpoint.
FinetuneResult finetune(const Model& model, const Dataset& data, const FinetuneOptions& options);

}  // namespace plimsoll::train
