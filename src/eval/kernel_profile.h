// Where the time of a run goes: its trace added up by kernel and by part of the model, against the
// machine's ceilings.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/trace.h"
#include "eval/ceilings.h"
#include "eval/workload.h"

namespace plimsoll {

/// All calls of one kernel in one part of the model. Seconds are a call's own: those of a scope
/// inside it are the inner one's.
struct KernelTime {
  std::string name;  // the variant that ran: "gemm_int8_panels_avx512"
  std::string part;  // "attention", "mlp", "head", "norm", "embedding", "sampling"
  std::string unit;  // whose peak its operations are judged by: "fp32", "bf16", "int8"
  std::int64_t calls = 0;
  double seconds = 0;                                                             // of all calls
  double mean_seconds = 0, median_seconds = 0, min_seconds = 0, max_seconds = 0;  // of a call
  double share = 0;             // of the run's time
  std::int64_t bytes = 0;       // as its scopes declare them: each input and output once
  std::int64_t operations = 0;  // multiply and add count as two
  double gbps = 0, gops = 0;    // bytes and operations over seconds, in 1e9
  /// What its calls would take at the ceilings (each the larger of bytes / read bandwidth and
  /// operations / the unit's peak) over what they took. More than 1 where the bytes come from a
  /// cache. 0 for a kernel that declares neither.
  double share_of_ceiling = 0;
  /// The ceiling that most of that time comes from: "bandwidth" or "compute".
  std::string bound;
};

struct PartTime {
  std::string part;  // as above, and "other": the time that no kernel accounts for
  double seconds = 0;
  double share = 0;
};

/// How a run without a trace keeps a GPU busy: what is left of its time are launches, and waits of
/// the GPU for the host.
struct DeviceTimeline {
  double wall_seconds = 0;    // as the host sees it
  double busy_seconds = 0;    // in which some kernel, copy or fill ran
  std::int64_t launches = 0;  // kernels, copies and fills

  double mean_seconds() const { return busy_seconds / static_cast<double>(launches); }
  double mean_gap_seconds() const {
    return (wall_seconds - busy_seconds) / static_cast<double>(launches);
  }
};

struct KernelProfile {
  std::string workload;  // "pp512+tg128"
  double wall_seconds = 0;
  std::string clock = "host";       // see TracedRun
  std::vector<KernelTime> kernels;  // the most time first
  std::vector<PartTime> parts;      // the same; "other" last. Their seconds add up to wall_seconds
  std::optional<DeviceTimeline> timeline;  // of a GPU whose kernel times can be had
};

/// The profile of a run of `wall_seconds` that recorded `events`: on one thread, as the threads
/// that a kernel uses are inside its scope.
KernelProfile kernel_profile(std::span<const trace::Event> events, double wall_seconds,
                             const Workload& workload, const Ceilings& ceilings);

/// A run, traced after one that warms up.
struct TracedRun {
  Workload workload;
  double wall_seconds = 0;
  std::vector<trace::Event> events;
  /// Whose times the events have: "host"; on a GPU "CUPTI", those of the kernels alone, or "host: "
  /// and why not CUPTI's: then launches and the host's waits are in them.
  std::string clock = "host";
  std::optional<DeviceTimeline> timeline;
};
/// InputError as WorkloadRun's. Nothing else may record meanwhile. (Tracing takes the time of two
/// looks at the clock and a push a call, under a microsecond.)
TracedRun traced_run(const Model& model, const ops::Context& context, const Workload& workload);

/// {"wall_seconds", "workload", "clock", "timeline", "kernels": [...], "parts": [...]} with the
/// fields above, and "trace_file": null.
nlohmann::ordered_json as_json(const KernelProfile& profile);

/// Chrome's trace event format, which Perfetto (ui.perfetto.dev) opens: complete events ("ph": "X",
/// "cat": "cpu_op") in the order of their beginning, "ts" and "dur" in microseconds from the first
/// one's beginning, with "part", "bytes", "operations" and "unit" as "args".
std::string trace_json(std::span<const trace::Event> events);

}  // namespace plimsoll
