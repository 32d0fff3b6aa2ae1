// plimsoll profile: where one variant's time goes, kernel by kernel.
#include <iostream>
#include <optional>

#include "cli/command.h"
#include "core/cpu.h"
#include "core/threads.h"
#include "engine/generate.h"
#include "eval/kernel_profile.h"
#include "eval/slow_paths.h"
#include "kv/kv_format.h"
#include "model/numerics.h"
#include "storage/atomic_file.h"
#include "study/ceilings_json.h"
#include "study/load_weights.h"

namespace plimsoll::cli {

namespace {

/// Rounds of the ceilings before and after what they judge, a tenth of a second each.
constexpr int kCeilingRounds = 3;

struct ProfileFlags {
  ModelFlags model;
  std::int64_t prompt = 128, generate = 32, depth = 0, batch = 1;
  std::string trace_file, format = "text";

  /// The prompt's pass and the single steps behind it apart: the same kernel does different work.
  std::vector<Workload> workloads() const {
    std::vector<Workload> result;
    if (prompt > 0) result.push_back({prompt, 0, depth, batch});
    if (generate > 0) result.push_back({0, generate, depth + prompt, batch});
    if (result.empty()) throw InputError("-p, -n", "tokens", "0 in both", "something to profile");
    return result;
  }
};

struct Result {
  quant::WeightFormat weights = quant::WeightFormat::bf16;
  ops::Context context;
  Ceilings ceilings;
  std::vector<KernelProfile> profiles;
  std::vector<std::string> slow_paths;

  std::string variant() const {
    return fmt::format("{}+{}", quant::format_name(weights),
                       ops::attention_name(context.attention));
  }
};

std::string as_text(const KernelProfile& profile) {
  std::string text =
      fmt::format("\n{}: {:.2f} ms\n\n", profile.workload, profile.wall_seconds * 1e3);
  text += fmt::format("{:<36} {:<9} {:>6} {:>9} {:>6} {:>9} {:>7} {:>7}  {}\n", "kernel", "part",
                      "share", "total ms", "calls", "mean us", "GB/s", "GOP/s", "of ceiling");
  for (const KernelTime& kernel : profile.kernels) {
    text += fmt::format(
        "{:<36} {:<9} {:>5.1f}% {:>9.3f} {:>6} {:>9.1f} {:>7.1f} {:>7.0f}  {:.2f} {}\n",
        kernel.name, kernel.part, kernel.share * 100, kernel.seconds * 1e3, kernel.calls,
        kernel.mean_seconds * 1e6, kernel.gbps, kernel.gops, kernel.share_of_ceiling, kernel.bound);
  }
  std::vector<std::string> parts;
  for (const PartTime& part : profile.parts) {
    parts.push_back(fmt::format("{} {:.1f}%", part.part, part.share * 100));
  }
  text += fmt::format("\nparts: {}\n", fmt::join(parts, ", "));
  if (profile.timeline) {
    const DeviceTimeline& line = *profile.timeline;
    text += fmt::format(
        "without a trace: {:.2f} ms, of which the GPU is busy for {:.1f} %: {} kernels and copies "
        "of {:.1f} us on average, gaps of {:.1f} us between them\n",
        line.wall_seconds * 1e3, line.busy_seconds / line.wall_seconds * 100, line.launches,
        line.mean_seconds() * 1e6, line.mean_gap_seconds() * 1e6);
  }
  if (profile.clock != "host") text += fmt::format("kernel times: {}\n", profile.clock);
  return text;
}

std::string as_text(const Result& result, const std::string& model) {
  std::string text =
      fmt::format("{}, {}, keys and values in {}, {} arithmetic, {} instructions, {} thread{}\n",
                  model, result.variant(), kv::kv_format_name(result.context.kv),
                  ops::compute_name(result.context.compute), isa_name(current_isa()), threads(),
                  threads() == 1 ? "" : "s");
  std::vector<std::string> units;
  for (const UnitCeiling& unit : result.ceilings.units) {
    units.push_back(fmt::format("{} {:.0f}", unit.unit, unit.gops.median));
  }
  text += fmt::format("ceilings: {:.1f} GB/s read; GOP/s {}\n", result.ceilings.read().gbps.median,
                      fmt::join(units, ", "));
  for (const KernelProfile& profile : result.profiles) text += as_text(profile);
  for (const std::string& line : result.slow_paths) text += "\nslow: " + line;
  return text + (result.slow_paths.empty() ? "" : "\n");
}

nlohmann::ordered_json as_json(const Result& result, const ProfileFlags& flags) {
  nlohmann::ordered_json json{{"model", flags.model.model}, {"variant", result.variant()}};
  json["weights"] = quant::format_name(result.weights);
  for (const auto& [key, value] : ops::settings_of(result.context)) json[key] = value;
  json["isa"] = isa_name(current_isa());
  json["threads"] = threads();
  json["ceilings"] = study::ceilings_json(result.ceilings);
  json["profiles"] = nlohmann::ordered_json::array();
  for (const KernelProfile& profile : result.profiles) {
    json["profiles"].push_back(plimsoll::as_json(profile));
    if (!flags.trace_file.empty()) json["profiles"].back()["trace_file"] = flags.trace_file;
  }
  json["slow_paths"] = result.slow_paths;
  return json;
}

void run(const ProfileFlags& flags) {
  const std::vector<Workload> workloads = flags.workloads();
  Result result;
  result.context = flags.model.context();
  std::int64_t positions = 0;
  for (const Workload& workload : workloads) positions = std::max(positions, workload.positions());
  if (!is_shape(flags.model.model)) {
    check_context(load_config(flags.model.model), positions, flags.model.allow_long, "-p, -n, -d");
  }
  // Before the work: a file that cannot be written is known at once.
  std::optional<AtomicFile> trace_file;
  if (!flags.trace_file.empty()) trace_file.emplace(flags.trace_file);

  const auto model = flags.model.load(positions);
  result.context = settled(result.context, *model);
  result.weights = study::format_of(*model);
  result.slow_paths = slow_paths(*model, result.context, std::max<std::int64_t>(flags.prompt, 1));
  CeilingMeter meter(result.context);
  const auto measure_ceilings = [&] {
    for (int i = 0; i < kCeilingRounds; ++i) meter.round();
  };
  measure_ceilings();
  std::vector<TracedRun> runs;
  runs.reserve(workloads.size());
  for (const Workload& workload : workloads) {
    runs.push_back(traced_run(*model, result.context, workload));
  }
  measure_ceilings();
  result.ceilings = meter.result();
  std::vector<trace::Event> events;
  for (const TracedRun& each : runs) {
    result.profiles.push_back(
        kernel_profile(each.events, each.wall_seconds, each.workload, result.ceilings));
    KernelProfile& profile = result.profiles.back();
    profile.clock = each.clock;
    profile.timeline = each.timeline;
    if (const auto slow = bound_by_launches(profile)) {
      result.slow_paths.push_back(profile.workload + ": " + *slow);
    }
    events.insert(events.end(), each.events.begin(), each.events.end());
  }
  if (trace_file) {
    trace_file->write(trace_json(events));
    trace_file->commit();
  }
  if (flags.format == "json") {
    std::cout << as_json(result, flags).dump() << '\n';
  } else {
    std::cout << as_text(result, flags.model.model);
  }
}

}  // namespace

void add_profile(CLI::App& app) {
  auto flags = std::make_shared<ProfileFlags>();
  CLI::App* command =
      app.add_subcommand("profile", "Where one variant's time goes, kernel by kernel");
  command->footer(
      "The prompt and the tokens after it are random ids, each timed once after a warm-up. The "
      "share\n"
      "of the ceiling is what a kernel's bytes and operations would take at the read bandwidth "
      "and\n"
      "the peak of its unit, measured in the same process, over what they took: more than 1 where\n"
      "the bytes come from a cache. -o writes a trace that https://ui.perfetto.dev opens.\n\n"
      "Examples:\n"
      "  plimsoll profile models/demo\n"
      "  plimsoll profile models/demo --weights nf4-dq -p 512 -n 0 -o trace.json\n"
      "  plimsoll profile shape:tinyllama-1.1b --weights int8 --attention flash --format json");
  add_model_flags(*command, flags->model, "fast");
  const auto count = [&](const char* names, std::int64_t& value, std::int64_t least,
                         std::int64_t most, const char* help) {
    command->add_option(names, value, help)->check(CLI::Range(least, most))->capture_default_str();
  };
  constexpr std::int64_t kMostTokens = 1 << 20;
  count("-p,--n-prompt", flags->prompt, 0, kMostTokens, "Prompt tokens, 0 for none");
  count("-n,--n-gen", flags->generate, 0, kMostTokens, "Tokens generated, 0 for none");
  count("-d,--depth", flags->depth, 0, kMostTokens, "Tokens in the cache beforehand");
  count("--batch", flags->batch, 1, 4096, "Sequences at once");
  command->add_option("-o,--output", flags->trace_file,
                      "Where to write every call as a trace for Perfetto (JSON)");
  add_format_flag(*command, flags->format);
  command->callback([flags] { run(*flags); });
}

}  // namespace plimsoll::cli
