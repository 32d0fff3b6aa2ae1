// Timing variants in turns, repeat by repeat, so that a machine that slows down hurts them alike.
#pragma once

#include <functional>
#include <vector>

#include "eval/ceilings.h"
#include "eval/latency.h"
#include "study/material.h"
#include "study/shelf.h"

namespace plimsoll::study {

/// Bytes and operations that the operations of a run declare (trace::Scope).
struct DeclaredWork {
  std::int64_t bytes = 0, operations = 0;

  /// The time at the ceilings (roofline) over `seconds`; nullopt where the CPU has no such unit.
  std::optional<double> share_of_ceiling(double seconds, const Ceilings& ceilings,
                                         std::string_view unit) const;
};

/// What running adds to the process beside the weights, in bytes.
struct RunMemory {
  std::int64_t peak = 0;       // at most at once
  std::int64_t workspace = 0;  // of that at most without keys and values
  bool known = true;           // false: the kernel does not let peaks start anew
};

struct Timed {
  Variant variant{};
  const Model* model = nullptr;
  ops::Context context{};
  RunMemory memory{};
  LatencySamples samples{};
  std::optional<double> joules{};    // of all timed generations; none where no counter can be read
  DeclaredWork prefill{}, decode{};  // decode: the generation whole, its prompt's pass included
};

/// Bytes that the first passes of all entries add to the process for good: code, also what the
/// dense library generates, and threads' stacks. No single variant is charged for them.
std::int64_t shared_growth(const std::vector<Timed>& entries, const Material& material);

/// One round untimed, traced for what is declared; then rounds in which every entry has its turn,
/// the first one another each round, and the ceilings theirs, until every entry has samples of
/// `repeats` rounds. Entries may have some already, all alike many. `on_round` comes after each.
void time_in_turns(std::vector<Timed>& entries, const Material& material,
                   const StudyOptions& options, CeilingMeter& ceilings, const Progress& progress,
                   const std::function<void()>& on_round);

/// What the samples say. `turns` numbers those that took turns.
Latency latency_of(const LatencySamples& samples, std::int64_t turns);
/// The samples that it was made of, of the first `rounds` rounds.
LatencySamples samples_of(const Latency& latency, std::int64_t prefill_tokens,
                          std::int64_t new_tokens, std::size_t rounds);

/// Energy a new token, or why there is none. Of a GPU not from the rounds.
EnergyFacts energy_of(const Timed& timed);
/// Energy a new token on a GPU: over generations that take two seconds together, because its
/// counter moves some times a second.
EnergyFacts gpu_energy(const Timed& entry, const Material& material, const StudyOptions& options);
/// The joules that it was made of, over all rounds of `samples`.
double joules_of(const EnergyFacts& energy, const LatencySamples& samples);

/// What --numerics invariant costs, as docs/results-schema.md has it: one variant timed both ways
/// in turns.
RawJson numerics_cost(const Timed& entry, const Material& material, const StudyOptions& options,
                      const Progress& progress);
/// The same of samples that were taken in turns.
RawJson numerics_cost_of(const std::string& variant, const LatencySamples& fast,
                         const LatencySamples& invariant);

}  // namespace plimsoll::study
