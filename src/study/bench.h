// Speed alone: pieces of work of given sizes in every variant, taking turns, each against the
// machine's ceilings of the same minutes.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/progress.h"
#include "eval/ceilings.h"
#include "eval/workload.h"

namespace plimsoll::study {

struct BenchOptions {
  std::string model;
  std::vector<std::optional<quant::WeightFormat>> weights;  // nullopt: as stored
  std::vector<ops::Attention> attentions;
  std::vector<kv::KvFormat> kv_formats;
  std::vector<Workload> workloads;
  std::vector<int> threads;               // 0: every core
  int repeats = 5;                        // after a warm-up
  ops::Context context;                   // its attention and cache format are not used
  std::function<void(Model&)> on_loaded;  // each model, before it is used (adapters)
  Progress progress;
  /// Told what the reader of the results must know: one line each.
  std::function<void(const std::string& line)> note;
};

/// One workload in one variant.
struct BenchRow {
  std::string model;
  std::string model_type;  // "mistral", "llama"
  std::int64_t model_bytes = 0;
  std::int64_t parameters = 0;
  quant::WeightFormat weights = quant::WeightFormat::bf16;
  ops::Attention attention = ops::Attention::sdpa;
  kv::KvFormat kv = kv::KvFormat::f32;
  ops::Compute compute = ops::Compute::fast;
  ops::Numerics numerics = ops::Numerics::fast;
  int threads = 0;
  std::string gpu;  // its name; empty: the CPU ran it
  Workload workload;
  std::int64_t chunk = 0;            // tokens of prompts that are read in one pass
  std::string test_time;             // ISO 8601, UTC, of the first repeat
  std::vector<double> seconds;       // one a repeat
  bool interleaved = true;           // the variants took turns
  std::int64_t bytes = 0;            // that one repeat must move, as its operations declare
  std::int64_t operations = 0;       // that it must do
  std::vector<std::string> kernels;  // that ran, the most time first
  std::optional<std::int64_t> peak_memory_bytes;  // of this variant as if alone in the process
  double ceiling_gbps = 0;
  double ceiling_gops = 0;
  std::string unit;  // whose peak ceiling_gops is: "fp32", "bf16", "int8"

  /// Tokens a second of each repeat.
  std::vector<double> rates() const;
  double bytes_per_token() const;
  double achieved_gbps() const;
  double achieved_gops() const;
  /// The larger of the two shares: the time that the machine would have needed at its ceilings (the
  /// roofline) over the median time.
  double share_of_ceiling() const;
  /// Which ceiling that is: "bandwidth" or "compute".
  std::string_view bound() const;
};

/// Runs every workload with every number of threads in every variant. Where all weight formats fit
/// in memory together, the variants take turns round by round; otherwise they are loaded one after
/// the other, which `note` is told. `on_row` gets each row when it is complete. InputError when the
/// model has not enough positions or the machine not enough memory.
void run_bench(const BenchOptions& options, const std::function<void(const BenchRow&)>& on_row);

}  // namespace plimsoll::study
