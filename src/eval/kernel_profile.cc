#include "eval/kernel_profile.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <utility>

#include "core/error.h"
#include "eval/device_times.h"
#include "eval/statistics.h"

namespace plimsoll {

namespace {

using Events = std::vector<trace::Event>;

double seconds_of(std::int64_t nanoseconds) {
  return static_cast<double>(nanoseconds) * 1e-9;
}

/// By their beginning, an outer scope before those inside it.
Events in_order(std::span<const trace::Event> events) {
  Events sorted(events.begin(), events.end());
  std::ranges::stable_sort(sorted, [](const trace::Event& a, const trace::Event& b) {
    return a.begin_ns != b.begin_ns ? a.begin_ns < b.begin_ns : a.duration_ns > b.duration_ns;
  });
  return sorted;
}

/// Takes from each event's duration what the scopes inside it took, so that no time counts twice.
void keep_own_time(Events& events) {
  struct Open {
    std::size_t event;
    std::int64_t end_ns;
  };
  std::vector<Open> open;
  for (std::size_t i = 0; i < events.size(); ++i) {
    const std::int64_t begin = events[i].begin_ns, duration = events[i].duration_ns;
    while (!open.empty() && open.back().end_ns <= begin) open.pop_back();
    if (!open.empty()) {
      PLIMSOLL_CHECK(begin + duration <= open.back().end_ns, "{} overlaps {}", events[i].name,
                     events[open.back().event].name);
      events[open.back().event].duration_ns -= duration;
    }
    open.push_back({i, begin + duration});
  }
}

/// The seconds that an event's declared work takes at each ceiling.
struct Floor {
  double bandwidth = 0;
  double compute = 0;
};
Floor floor_of(const trace::Event& event, const Ceilings& ceilings) {
  const UnitCeiling* unit = ceilings.unit(event.unit);
  if (unit == nullptr) return {};  // the host's own work beside a GPU, whose ceilings these are
  return {static_cast<double>(event.bytes) / ceilings.read().gbps.median * 1e-9,
          static_cast<double>(event.operations) / unit->gops.median * 1e-9};
}

KernelTime kernel_time(const std::vector<const trace::Event*>& calls, double wall_seconds,
                       const Ceilings& ceilings) {
  KernelTime kernel;
  kernel.name = calls.front()->name;
  kernel.part = calls.front()->part;
  kernel.unit = calls.front()->unit;
  kernel.calls = static_cast<std::int64_t>(calls.size());
  std::vector<double> seconds;
  seconds.reserve(calls.size());
  double bandwidth = 0, compute = 0;  // the floors of the calls that each ceiling bounds
  for (const trace::Event* call : calls) {
    seconds.push_back(seconds_of(call->duration_ns));
    kernel.seconds += seconds.back();
    kernel.bytes += call->bytes;
    kernel.operations += call->operations;
    const Floor floor = floor_of(*call, ceilings);
    (floor.bandwidth >= floor.compute ? bandwidth : compute) +=
        std::max(floor.bandwidth, floor.compute);
  }
  kernel.mean_seconds = mean(seconds);
  kernel.median_seconds = median(seconds);
  kernel.min_seconds = *std::ranges::min_element(seconds);
  kernel.max_seconds = *std::ranges::max_element(seconds);
  kernel.bound = bandwidth >= compute ? "bandwidth" : "compute";
  if (kernel.seconds > 0) {
    kernel.share = kernel.seconds / wall_seconds;
    kernel.gbps = static_cast<double>(kernel.bytes) / kernel.seconds * 1e-9;
    kernel.gops = static_cast<double>(kernel.operations) / kernel.seconds * 1e-9;
    kernel.share_of_ceiling = (bandwidth + compute) / kernel.seconds;
  }
  return kernel;
}

}  // namespace

KernelProfile kernel_profile(std::span<const trace::Event> events, double wall_seconds,
                             const Workload& workload, const Ceilings& ceilings) {
  PLIMSOLL_CHECK(wall_seconds > 0);
  Events own = in_order(events);
  keep_own_time(own);
  std::map<std::pair<std::string_view, std::string_view>, std::vector<const trace::Event*>> calls;
  std::map<std::string, double> parts;
  double kernels_seconds = 0;
  for (const trace::Event& event : own) {
    calls[{event.name, event.part}].push_back(&event);
    kernels_seconds += seconds_of(event.duration_ns);
    if (!event.part.empty()) parts[std::string(event.part)] += seconds_of(event.duration_ns);
  }
  constexpr double kRounding = 1e-6;
  PLIMSOLL_CHECK(kernels_seconds <= wall_seconds * (1 + kRounding), "{} s in a run of {} s",
                 kernels_seconds, wall_seconds);

  KernelProfile profile;
  profile.workload = workload.name();
  profile.wall_seconds = wall_seconds;
  const auto longer = [](const auto& a, const auto& b) { return a.seconds > b.seconds; };
  for (const auto& [key, of_kernel] : calls) {
    profile.kernels.push_back(kernel_time(of_kernel, wall_seconds, ceilings));
  }
  std::ranges::stable_sort(profile.kernels, longer);
  double other = wall_seconds;
  for (const auto& [part, seconds] : parts) {
    profile.parts.push_back({part, seconds, seconds / wall_seconds});
    other -= seconds;
  }
  std::ranges::stable_sort(profile.parts, longer);
  other = std::max(other, 0.0);
  profile.parts.push_back({"other", other, other / wall_seconds});
  return profile;
}

TracedRun traced_run(const Model& model, const ops::Context& context, const Workload& workload) {
  WorkloadRun run(model, context, workload);
  run.seconds();
  PLIMSOLL_CHECK(!trace::recording());
  TracedRun traced;
  traced.workload = workload;
  const bool on_gpu = context.device != nullptr;
  const Support cupti = on_gpu ? cuda::kernel_times_available() : Support::no("");
  if (cupti) {
    // Steps are replayed as graphs only while nothing is traced.
    DeviceTimeline& line = traced.timeline.emplace();
    line.wall_seconds = run.seconds();
    cuda::start_kernel_times();
    run.seconds();
    const std::vector<cuda::KernelRun> runs = cuda::stop_kernel_times();
    line.busy_seconds = std::min(busy_seconds(runs), line.wall_seconds);
    line.launches = static_cast<std::int64_t>(runs.size());
    cuda::start_kernel_times();
  }
  trace::start();
  traced.wall_seconds = run.seconds();
  traced.events = trace::stop();
  if (cupti) {
    take_kernel_times(traced.events, cuda::stop_kernel_times());
    traced.clock = "CUPTI";
  } else if (on_gpu) {
    traced.clock += ": " + cupti.reason;
  }
  return traced;
}

nlohmann::ordered_json as_json(const KernelProfile& profile) {
  using Json = nlohmann::ordered_json;
  Json kernels = Json::array();
  for (const KernelTime& kernel : profile.kernels) {
    kernels.push_back({{"name", kernel.name},
                       {"part", kernel.part},
                       {"calls", kernel.calls},
                       {"seconds", kernel.seconds},
                       {"mean_seconds", kernel.mean_seconds},
                       {"median_seconds", kernel.median_seconds},
                       {"min_seconds", kernel.min_seconds},
                       {"max_seconds", kernel.max_seconds},
                       {"share", kernel.share},
                       {"bytes", kernel.bytes},
                       {"operations", kernel.operations},
                       {"gbps", kernel.gbps},
                       {"gops", kernel.gops},
                       {"unit", kernel.unit},
                       {"share_of_ceiling", kernel.share_of_ceiling},
                       {"bound", kernel.bound}});
  }
  Json parts = Json::array();
  for (const PartTime& part : profile.parts) {
    parts.push_back({{"part", part.part}, {"seconds", part.seconds}, {"share", part.share}});
  }
  Json timeline;
  if (profile.timeline) {
    timeline = {{"wall_seconds", profile.timeline->wall_seconds},
                {"busy_seconds", profile.timeline->busy_seconds},
                {"launches", profile.timeline->launches},
                {"mean_seconds", profile.timeline->mean_seconds()},
                {"mean_gap_seconds", profile.timeline->mean_gap_seconds()}};
  }
  return {{"wall_seconds", profile.wall_seconds},
          {"workload", profile.workload},
          {"clock", profile.clock},
          {"timeline", std::move(timeline)},
          {"kernels", std::move(kernels)},
          {"parts", std::move(parts)},
          {"trace_file", nullptr}};
}

std::string trace_json(std::span<const trace::Event> events) {
  const Events sorted = in_order(events);
  const std::int64_t first = sorted.empty() ? 0 : sorted.front().begin_ns;
  std::string json = "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[";
  std::string_view separator = "\n";
  for (const trace::Event& event : sorted) {
    json += separator;
    json += nlohmann::ordered_json{{"name", event.name},
                                   {"cat", "cpu_op"},
                                   {"ph", "X"},
                                   {"ts", static_cast<double>(event.begin_ns - first) / 1000},
                                   {"dur", static_cast<double>(event.duration_ns) / 1000},
                                   {"pid", 1},
                                   {"tid", 1},
                                   {"args",
                                    {{"part", event.part},
                                     {"bytes", event.bytes},
                                     {"operations", event.operations},
                                     {"unit", event.unit}}}}
                .dump();
    separator = ",\n";
  }
  return json + "\n]}\n";
}

}  // namespace plimsoll
