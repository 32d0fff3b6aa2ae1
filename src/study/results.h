// What a study found: results.json as C++, field by field. docs/results-schema.md says what each
// field means; src/study/results_json.cc turns one into the other.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "eval/bootstrap.h"

namespace plimsoll::study {

inline constexpr const char* kResultsSchema = "plimsoll.study";
inline constexpr std::int64_t kResultsVersion = 1;

/// A part that is kept as it was made.
using RawJson = nlohmann::ordered_json;

struct ModelFacts {
  std::string path, name, architecture;
  std::int64_t parameters = 0;
  bool shape_only = false;  // random weights
  std::string stored_dtype;
  std::optional<std::string> weights_sha256, tokenizer_sha256;
  std::int64_t layers = 0, hidden_size = 0, vocab_size = 0, context_length = 0;
  std::optional<std::int64_t> sliding_window;
};

struct TextFacts {
  std::string source, sha256;
  std::int64_t bytes = 0, tokens = 0;  // tokens: that are judged, in quick mode fewer than it has
};

/// What formats that look at activations were calibrated on.
struct CalibrationFacts {
  std::string source, sha256;
  std::int64_t windows = 0, window_tokens = 0, seed = 0;
};

struct MachineFacts {
  std::string cpu, isa;
  std::int64_t threads = 0, cores = 0, memory_bytes = 0;
  std::string os, device = "cpu";
  std::optional<std::string> gpu;
};

struct CeilingFacts {
  double read_gbps = 0;
  std::optional<double> fp32_gops, bf16_gops, fp16_gops, int8_gops;
  RawJson detail;
};

struct Flags {
  std::string compute, numerics, kv;
  std::int64_t prefill_chunk = 0, repeats = 0, prefill_tokens = 0, new_tokens = 0;
  std::string decode_prompt;
  std::vector<std::string> sample_prompts;
  double max_ppl_ratio = 1.05;
  std::optional<std::int64_t> memory_limit_bytes;
  std::optional<double> price_per_hour;
  std::vector<std::string> adapters;
};

struct RunFacts {
  std::string plimsoll_version, build_commit;
  std::vector<std::string> command;
  std::string started;
  std::optional<std::string> finished;
  double seconds = 0;  // of all sittings together
  bool complete = false;
  std::string mode;
  ModelFacts model;
  std::optional<TextFacts> text;
  std::optional<CalibrationFacts> calibration;  // none where no variant needs one
  MachineFacts machine;
  std::optional<CeilingFacts> ceilings;
  Flags flags;
  std::map<std::string, std::string> versions;
};

struct MemoryFacts {
  std::int64_t weights_bytes = 0, kv_bytes = 0, workspace_bytes = 0;
  std::optional<std::int64_t> peak_bytes;  // unknown where the kernel lets no peak start anew
  std::int64_t needed_bytes = 0;           // as estimated before loading
};

struct Latency {
  std::int64_t repeats = 0;
  std::int64_t turns = 0;  // variants with the same number took turns, repeat by repeat
  Sampled end_to_end_seconds, ttft_seconds, tpot_seconds;
  Sampled prefill_tokens_per_second, decode_tokens_per_second;
};

struct CeilingShares {
  std::optional<double> prefill, decode;
};

/// A ratio of speeds; above 1 is faster.
struct Versus {
  double ratio = 1;
  std::optional<double> low, high;
  std::string verdict;  // "faster", "slower", "no difference"
};

struct VersusBaseline {
  Versus end_to_end, prefill, decode;
};

struct QualityFacts {
  std::string protocol;
  std::int64_t window = 0, stride = 0, tokens_scored = 0;
  double nll = 0, ppl = 0, ppl_stderr = 0;
  Estimate ppl_ratio, kl_mean;
  std::map<std::string, double> kl_percentiles;
  Estimate same_top;
  std::string compute;
};

struct Sample {
  std::string prompt, text;
  std::int64_t tokens = 0;
  std::optional<double> distinct_1, distinct_2, repetition;
};

struct Cost {
  std::optional<double> per_million_tokens;
  std::optional<std::string> reason;
};

struct EnergyFacts {
  std::optional<double> joules_per_token;
  std::optional<std::string> source, reason;
};

struct VariantResult {
  std::string name, weights, attention, kv, device;
  std::optional<std::string> numerics;  // "fast", "invariant": what ran
  std::string status;                   // "pending", "measured", "does_not_fit", "failed"
  std::optional<std::string> reason;
  MemoryFacts memory;
  std::optional<Latency> latency;
  CeilingShares share_of_ceiling;
  std::optional<VersusBaseline> versus_baseline;
  std::optional<QualityFacts> quality;
  std::optional<std::string> quality_reason;
  std::vector<Sample> samples;
  RawJson profile;
  Cost cost;
  EnergyFacts energy;
  std::vector<std::string> slow_paths;

  bool measured() const { return status == "measured"; }
};

struct Drift {
  Estimate decode, prefill;  // speed of the later half of the rounds over that of the earlier
  bool noticed = false;
};

/// What a variant compared with itself says of the measurement.
struct Noise {
  std::string variant;
  Estimate decode, prefill;  // ratio of its speeds as measured twice
  double floor_decode = 0, floor_prefill = 0;
  Drift drift;
  bool noisy = false;
  Sampled decode_tokens_per_second, prefill_tokens_per_second;  // of the second measurement
};

struct Recommendation {
  std::string workload, title;
  std::optional<std::string> variant;
  std::string metric;
  std::optional<Estimate> figure;
  std::string confidence, reason;
  std::optional<std::string> runner_up;
  std::vector<std::string> would_change;
};

struct Warning {
  std::string kind;
  std::optional<std::string> variant;
  std::string text;
};

/// One variant's speed at one value of a sweep (study/sweeps.h).
struct SweepPoint {
  std::string variant;
  std::int64_t value = 0;  // of the batch, the prompt or the depth
  std::int64_t turns = 0;  // variants with the same number took turns, repeat by repeat
  Sampled tokens_per_second;
};

/// What two variants' points say of each other.
struct Crossover {
  std::string sweep;  // "batch", "prompt", "depth"
  std::string faster, slower;
  /// The first measured value from which `faster` is faster, after one at which it was slower, both
  /// beyond the noise; none where the two do not change places.
  std::optional<std::int64_t> at;
  std::string text;  // a sentence without its full stop
};

struct Sweeps {
  bool complete = false;  // nothing is left to measure
  std::vector<SweepPoint> batch, prompt, depth;
  std::vector<Crossover> crossovers;
  std::vector<std::string> skipped;  // what was not measured, and why: one line each
};

/// A row of another engine's benchmark.
struct Imported {
  std::string source, engine, label, test;
  Sampled tokens_per_second;
};

struct Results {
  RunFacts run;
  std::string reference, baseline;
  std::vector<VariantResult> variants;
  std::optional<Noise> noise;
  std::optional<Sweeps> sweeps;
  std::vector<Recommendation> recommendations;
  std::optional<std::string> recommended;
  std::vector<Warning> warnings;
  std::vector<Imported> imported;
  RawJson numerics_cost, adaptation;

  /// nullptr where there is none of that name.
  const VariantResult* find(const std::string& name) const;
};

/// The document, on lines of its own.
std::string to_json(const Results& results);
RawJson to_json_value(const Results& results);
/// InputError naming `where` and the field for another schema or version, and for what is missing
/// or of the wrong type.
Results results_from_json(const std::string& text, const std::string& where);

/// What makes a study this one and no other: the hashes of weights, tokenizer and text, the flags
/// and the variants; by name, as JSON. With `sitting` also what measurements of one study must
/// share: the build and the machine.
std::map<std::string, std::string> capsule_of(const Results& results, bool sitting);

}  // namespace plimsoll::study
