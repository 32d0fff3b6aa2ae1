// The study: every variant of a model measured side by side, judged against one of them, and the
// right one for each kind of work recommended.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/progress.h"
#include "model/model.h"
#include "study/results.h"
#include "study/variant.h"

namespace plimsoll::study {

/// quick: fewer repeats, a short text, one sample, no profile. full: sweeps besides.
enum class Mode : std::uint8_t { quick, standard, full };
std::string_view mode_name(Mode mode);

struct StudyOptions {
  std::string model;  // checkpoint folder or shape:NAME
  std::vector<Variant> variants;
  std::string text;         // what quality is judged on, UTF-8
  std::string text_source;  // its name
  ops::Context context;     // of every variant, but for its attention and cache
  Mode mode = Mode::standard;
  std::int64_t repeats = 8;  // after one warm-up
  std::int64_t prefill_tokens = 512;
  std::int64_t new_tokens = 100;                   // 2 or more
  double max_ppl_ratio = 1.05;                     // worse variants are never recommended
  std::optional<std::int64_t> memory_limit_bytes;  // variants that need more are not measured
  std::optional<double> price_per_hour;            // of the machine, in the user's currency
  std::vector<std::string> adapters;               // their names, for the record
  std::vector<Imported> imported;                  // other engines' figures
  std::function<void(Model&)> on_loaded;           // each model, before it is used (adapters)
  /// Told what is done and how much of the whole study.
  Progress progress;
  /// Given a variant's trace (Chrome's trace event JSON); returns the name under which the results
  /// shall mention it.
  std::function<std::string(const std::string& variant, const std::string& trace)> on_trace;
  /// Told after each finished part, and after each round of timing: speeds of "pending" variants
  /// are not final.
  std::function<void(const Results&)> on_part;
};

class Study {
 public:
  /// Checks all that can be known before a model is loaded. InputError for a text too short for the
  /// protocol, a context too short for the workloads, and when no variant fits the memory (naming
  /// the weight formats that would).
  explicit Study(StudyOptions options);
  ~Study();
  Study(const Study&) = delete;
  Study& operator=(const Study&) = delete;

  /// What is known so far.
  const Results& results() const;
  /// Takes over the finished parts of an earlier sitting of this study (the same capsule).
  void resume(Results earlier);
  /// The parts that are missing, on_part after each. InputError when no variant can be loaded,
  /// naming what is wrong with the first; a variant that cannot be loaded while others can is
  /// "failed" in the results.
  void run();
  /// What --finetune found, for the report. on_part follows.
  void add_adaptation(RawJson adaptation);
  /// Marks the study complete. on_part follows.
  void finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// One for each kind of work, from measured points of `results` only.
std::vector<Recommendation> recommend(const Results& results);
/// What a careful colleague would say, with the evidence.
std::vector<Warning> warnings_about(const Results& results);

/// The whole for a terminal: table, samples, recommendations, warnings.
std::string as_text(const Results& results);

}  // namespace plimsoll::study
