// The models of a study in memory: one for each weight format, shared by the variants that differ
// in attention only.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>

#include "eval/memory_account.h"
#include "study/study.h"

namespace plimsoll::study {

struct Loaded {
  std::unique_ptr<Model> model;
  MemoryAccount memory;  // of loading it and reading its weights once
};

class Shelf {
 public:
  /// `positions`: the longest text that will be run. Options and config must outlive the shelf.
  Shelf(const StudyOptions& options, const ModelConfig& config, std::int64_t positions);

  /// Bytes that were available before anything was loaded: what one model may need.
  std::int64_t room() const { return room_; }
  /// Whether the formats may be in memory at once, so that what runs in them can take turns.
  bool fit_together(std::span<const quant::WeightFormat> formats) const;

  /// Loads of `formats` what is not there; what is not among them goes unless all fit together.
  /// A format that cannot be loaded is in failures() from then on. Interrupted as `progress` has
  /// it. What options.on_loaded throws goes through.
  void hold(std::span<const quant::WeightFormat> formats, const Progress& progress);
  /// nullptr where it is not held.
  const Loaded* find(quant::WeightFormat format) const;
  const std::map<quant::WeightFormat, std::string>& failures() const { return failures_; }

 private:
  void load(quant::WeightFormat format, const Progress& progress);

  const StudyOptions& options_;
  const ModelConfig& config_;
  std::int64_t positions_, room_;
  std::map<quant::WeightFormat, Loaded> loaded_;
  std::map<quant::WeightFormat, std::string> failures_;
};

}  // namespace plimsoll::study
