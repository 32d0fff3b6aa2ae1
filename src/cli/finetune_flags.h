// What plimsoll finetune is asked for, and the settings that follow.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/command.h"
#include "train/finetune.h"

namespace plimsoll::cli {

struct FinetuneFlags {
  std::string model, output, adapter, trained = "lora", schedule = "cosine", recompute = "auto";
  std::string format = "text", device = "cpu";
  std::vector<std::string> data;
  std::optional<std::string> targets;
  WeightFlags weights;
  train::DataOptions batches;
  train::FinetuneOptions options;
  std::optional<std::int64_t> sequence, warmup, steps, checkpoint_every, rank;
  std::optional<double> rate, epochs, alpha, dropout;
  std::uint64_t seed = 0;
  int threads = 0;
  bool allow_long = false;
};

void add_finetune_flags(CLI::App& command, FinetuneFlags& flags);

/// InputError naming the flag whose value is out of its range.
void check_flags(const FinetuneFlags& flags);

/// The adapter that training goes on from. InputError when a flag asks for another one.
std::optional<Adapter> beginning_of(const FinetuneFlags& flags);

/// Rank, scale and targets of the adapter that is trained: the flags', else the beginning's.
AdapterConfig adapter_config(const FinetuneFlags& flags, const std::optional<Adapter>& beginning);

/// Everything that the losses depend on, as JSON. InputError for data that cannot be read.
std::string recipe_of(const FinetuneFlags& flags, const train::FinetuneOptions& options,
                      const train::DataOptions& data);

}  // namespace plimsoll::cli
