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
/// A load's share of the progress, in tokens.
inline constexpr std::int64_t kLoadUnits = 50;

struct Study::Impl {
  using Clock = std::chrono::steady_clock;

  explicit Impl(StudyOptions given);

  // Beforehand.
  void plan();
  void name_reference_and_baseline();

  // One part each.
  void time_group(const std::vector<std::size_t>& group, std::int64_t number);
  void judge_group(const std::vector<std::size_t>& candidates, std::size_t reference);
  void write_samples(std::size_t index);

  void run();
  void time_all();
  void judge_all();
  void profile_all();
  void sweep_all();
  void save();

  /// Indices of variants that are still in the running, those of one weight format together unless
  /// all are in memory together.
  std::vector<std::vector<std::size_t>> groups() const;
  std::vector<quant::WeightFormat> formats_of(const std::vector<std::size_t>& indices) const;
  std::size_t index_of(const std::string& name) const;
  Runnable runnable(std::size_t index) const;
  void record(const Timed& timed, std::size_t index, std::int64_t number, const Ceilings& ceilings);
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
