// A study as it is run: what it holds, and the parts in which it goes on. Study in study.h is the
// way in.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "study/judging.h"
#include "study/material.h"
#include "study/shelf.h"
#include "study/study.h"
#include "study/timing.h"
#include "study/work.h"

namespace plimsoll::study {

/// Status of a variant whose turn has not come.
inline constexpr const char* kPending = "pending";
/// Status of what quality is judged against where it is none of the variants that were asked for.
inline constexpr const char* kReferenceOnly = "reference";
/// A load's share of the progress, in tokens.
inline constexpr std::int64_t kLoadUnits = 50;

struct Study::Impl {
  using Clock = std::chrono::steady_clock;

  explicit Impl(StudyOptions given);

  // Beforehand.
  void plan();
  void name_baseline();

  // One part each.
  void time_group(const std::vector<std::size_t>& group, std::int64_t number);
  void take_numerics_cost();
  void judge_group(const std::vector<std::size_t>& candidates, std::size_t reference);
  /// What keeps the reference from being loaded; nullopt: nothing.
  std::optional<std::string> why_no_reference(std::size_t reference) const;
  /// Samples of each, and why it was not judged.
  void leave_unjudged(const std::vector<std::size_t>& indices, const std::string& why);
  void write_samples(std::size_t index);

  void run();
  void time_all();
  void judge_all();
  void profile_all();
  void sweep_all();
  void save();

  /// Indices of variants that are still in the running: in one group where all of them, and what
  /// is in memory `beside`, fit together; else a group for each weight format.
  std::vector<std::vector<std::size_t>> groups(
      const std::vector<quant::WeightFormat>& beside = {}) const;
  std::vector<quant::WeightFormat> formats_of(const std::vector<std::size_t>& indices) const;
  std::size_t index_of(const std::string& name) const;
  Runnable runnable(std::size_t index) const;
  /// The entries of the variants, and the baseline's second, with the rounds that are kept.
  std::vector<Timed> entries_of(const std::vector<std::size_t>& indices, bool with_baseline) const;
  void keep_rounds(const std::vector<Timed>& entries, const std::vector<std::size_t>& indices,
                   std::int64_t number);
  void record(const Timed& timed, std::size_t index, const Ceilings& ceilings);
  std::int64_t timing_units(std::size_t entries) const;
  std::int64_t judging_units(std::size_t models) const;
  std::int64_t sweeping_units(std::size_t variants) const;

  StudyOptions options;
  ModelConfig config;
  Material material;
  std::int64_t generated, positions;  // tokens of the decode prompt and its continuation; longest
  Shelf shelf;
  Work work;
  std::int64_t base_memory;
  Results results;
  std::unique_ptr<CeilingMeter> meter;
  Clock::time_point started = Clock::now();
  double earlier_seconds = 0;
};

}  // namespace plimsoll::study
