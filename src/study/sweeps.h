// How speed changes with the batch, the prompt and the depth of the context, and where one variant
// overtakes another.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/progress.h"
#include "eval/workload.h"
#include "study/results.h"

namespace plimsoll::study {

///   batch   tokens decoded by so many sequences at once, tokens a second of all of them
///   prompt  prompts of so many tokens, batch 1
///   depth   tokens decoded behind so many that the cache holds, batch 1
enum class Sweep : std::uint8_t { batch, prompt, depth };
std::string_view sweep_name(Sweep sweep);

/// A model as one variant runs it: variants of one weight format share it.
struct SweepVariant {
  std::string name;  // WEIGHTS+ATTENTION
  const Model* model = nullptr;
  ops::Context context;
};

struct SweepOptions {
  std::vector<std::int64_t> batches{1, 4, 8, 16, 32};
  std::vector<std::int64_t> prompts{128, 512, 1024, 2048};
  std::vector<std::int64_t> depths{0, 512, 1024, 2048, 4096};
  std::int64_t new_tokens = 16;  // decoded in each repeat of batch and depth
  int repeats = 5;               // after a warm-up
  /// Bytes that a variant may take: weights, keys and values, workspace.
  std::optional<std::int64_t> memory_limit;
  /// Marks points whose variants took turns; give another number to each call.
  std::int64_t turns = 0;
  Progress progress;
  /// Told after each value.
  std::function<void()> on_value;
};

/// About how long the sweeps of one variant take, in units of a decoded token's time, with a model
/// of so many positions.
std::int64_t sweep_units(const SweepOptions& options, std::int64_t positions);

/// Times all variants at every value, repeat by repeat in turns, and adds the points to `sweeps`.
/// Values that the model has no positions for or that do not fit in memory are skipped; those at
/// which all these variants were measured before are not measured again.
void run_sweeps(std::span<const SweepVariant> variants, const SweepOptions& options,
                Sweeps& sweeps);

/// Compares the variants that differ in one thing: attention, weights or cache format. Only values
/// that were measured for both count, and only differences whose 95 % interval leaves out 1 and
/// that are larger than `floor` (0.02: two in a hundred): what is inside the noise is never a
/// crossover. Pairs that differ nowhere are left out.
std::vector<Crossover> crossovers(Sweep sweep, std::span<const SweepPoint> points, double floor);

/// Those of all three sweeps, each with the floor of what it measures; those with `at` first.
void find_crossovers(Sweeps& sweeps, double floor_decode, double floor_prefill);

}  // namespace plimsoll::study
