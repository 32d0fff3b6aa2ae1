#include "study/study.h"

#include <algorithm>
#include <chrono>

#include "core/memory.h"
#include "eval/slow_paths.h"
#include "kv/block_pool.h"
#include "kv/kv_format.h"
#include "study/facts.h"
#include "study/fit.h"
#include "study/judging.h"
#include "study/material.h"
#include "study/profiling.h"
#include "study/shelf.h"
#include "study/sweeps.h"
#include "study/timing.h"
#include "study/verdicts.h"
#include "study/work.h"

namespace plimsoll::study {

namespace {

using Clock = std::chrono::steady_clock;
using quant::WeightFormat;

constexpr const char* kPending = "pending";

/// Relative difference that counts in a sweep where nothing is known of the noise.
constexpr double kSweepNoise = 0.02;
/// A load's share of the progress, in tokens.
constexpr std::int64_t kLoadUnits = 50;

}  // namespace

std::string_view mode_name(Mode mode) {
  switch (mode) {
    case Mode::quick:
      return "quick";
    case Mode::standard:
      return "default";
    case Mode::full:
      return "full";
  }
  PLIMSOLL_CHECK(false);
}

struct Study::Impl {
  explicit Impl(StudyOptions given)
      : options(std::move(given)),
        config(load_config(options.model)),
        material(prepare(options, config)),
        generated(static_cast<std::int64_t>(material.decode_prompt.size()) + options.new_tokens),
        positions(std::max(generated, static_cast<std::int64_t>(material.prefill.size()) + 1)),
        shelf(options, config, positions),
        work(options.progress),
        base_memory(static_cast<std::int64_t>(resident_memory())) {
    plan();
  }

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
  std::vector<WeightFormat> formats_of(const std::vector<std::size_t>& indices) const;
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

void Study::Impl::plan() {
  results.imported = options.imported;
  for (const Variant& variant : options.variants) {
    const MemoryNeed need = memory_need(config, variant, options.context, positions);
    VariantResult& result = results.variants.emplace_back();
    result.name = variant.name();
    result.weights = quant::format_name(variant.weights);
    result.attention = ops::attention_name(variant.attention);
    result.kv = kv::kv_format_name(variant.kv);
    result.device = device_name(variant.device);
    result.memory = {need.weights, need.kv, need.workspace, std::nullopt, need.total()};
    result.reason = why_not(need, options.memory_limit_bytes);
    result.status = result.reason ? "does_not_fit" : kPending;
    if (!material.tokenizer) result.quality_reason = "random weights have no quality";
  }
  if (groups().empty()) {
    refuse_all(options.model, config, options.variants, options.context, positions,
               options.memory_limit_bytes);
  }
  results.run = run_facts(options, config, material);
  name_reference_and_baseline();
}

void Study::Impl::name_reference_and_baseline() {
  std::vector<Variant> running;
  for (std::size_t i = 0; i < results.variants.size(); ++i) {
    const std::string& status = results.variants[i].status;
    if (status == kPending || status == "measured") running.push_back(options.variants[i]);
  }
  results.baseline = running.front().name();
  results.reference = running[reference_of(running, config)].name();
}

std::vector<std::vector<std::size_t>> Study::Impl::groups() const {
  std::vector<std::vector<std::size_t>> groups;
  for (std::size_t i = 0; i < results.variants.size(); ++i) {
    const VariantResult& variant = results.variants[i];
    if (variant.status != kPending && !variant.measured()) continue;
    const auto found = std::ranges::find_if(groups, [&](const auto& group) {
      return shelf.holds_all() ||
             options.variants[group.front()].weights == options.variants[i].weights;
    });
    if (found == groups.end()) {
      groups.push_back({i});
    } else {
      found->push_back(i);
    }
  }
  return groups;
}

std::vector<WeightFormat> Study::Impl::formats_of(const std::vector<std::size_t>& indices) const {
  std::vector<WeightFormat> formats;
  for (const std::size_t index : indices) {
    const WeightFormat format = options.variants[index].weights;
    if (std::ranges::find(formats, format) == formats.end()) formats.push_back(format);
  }
  return formats;
}

std::size_t Study::Impl::index_of(const std::string& name) const {
  const VariantResult* found = results.find(name);
  PLIMSOLL_CHECK(found != nullptr, "{}", name);
  return static_cast<std::size_t>(found - results.variants.data());
}

Runnable Study::Impl::runnable(std::size_t index) const {
  const Variant& variant = options.variants[index];
  const Loaded* loaded = shelf.find(variant.weights);
  PLIMSOLL_CHECK(loaded != nullptr, "{}", variant.name());
  return {loaded->model.get(), variant.context(options.context)};
}

std::int64_t Study::Impl::timing_units(std::size_t entries) const {
  const auto prefill = static_cast<std::int64_t>(material.prefill.size());
  return static_cast<std::int64_t>(entries) * (options.repeats + 1) *
         (prefill / 4 + options.new_tokens);
}

std::int64_t Study::Impl::judging_units(std::size_t models) const {
  return static_cast<std::int64_t>(models * material.judged.size()) / 3;
}

std::int64_t Study::Impl::sweeping_units(std::size_t variants) const {
  // Repeats of the batches' tokens, of the prompts at a quarter and of what fills the caches.
  constexpr std::int64_t kPerVariant = 4000;
  return static_cast<std::int64_t>(variants) * kPerVariant;
}

void Study::Impl::record(const Timed& timed, std::size_t index, std::int64_t number,
                         const Ceilings& ceilings) {
  VariantResult& result = results.variants[index];
  const Loaded& loaded = *shelf.find(timed.variant.weights);
  MemoryFacts& memory = result.memory;
  memory.weights_bytes = loaded.model->weight_bytes();
  memory.kv_bytes = loaded.model->kv_shape(timed.context.kv).bytes_per_token() * generated;
  memory.workspace_bytes = std::max<std::int64_t>(0, timed.memory.peak - memory.kv_bytes);
  if (timed.memory.known && loaded.memory.known) {
    memory.peak_bytes =
        base_memory + std::max(loaded.memory.peak, loaded.memory.held + timed.memory.peak);
  }
  result.latency = latency_of(timed.samples, number);
  const std::string_view unit = ops::unit_of(timed.context.compute, timed.variant.weights);
  const double prefill = static_cast<double>(timed.samples.prefill_tokens) /
                         result.latency->prefill_tokens_per_second.median;
  result.share_of_ceiling = {
      timed.prefill.share_of_ceiling(prefill, ceilings, unit),
      timed.decode.share_of_ceiling(result.latency->end_to_end_seconds.median, ceilings, unit)};
  result.energy = energy_of(timed);
  result.slow_paths =
      slow_paths(*loaded.model, timed.context, static_cast<std::int64_t>(material.prefill.size()));
  result.status = "measured";
}

void Study::Impl::time_group(const std::vector<std::size_t>& group, std::int64_t number) {
  shelf.hold(formats_of(group), work.begin(kLoadUnits));
  std::vector<Timed> entries;
  std::vector<std::size_t> indices;
  for (const std::size_t index : group) {
    const Variant& variant = options.variants[index];
    if (const auto failure = shelf.failures().find(variant.weights);
        failure != shelf.failures().end()) {
      results.variants[index].status = "failed";
      results.variants[index].reason = failure->second;
      continue;
    }
    const Runnable ready = runnable(index);
    entries.push_back({variant, ready.model, ready.context, {}, {}, {}, {}, {}});
    indices.push_back(index);
  }
  if (entries.empty()) return;
  name_reference_and_baseline();
  // The baseline takes part twice: what the two differ by is noise.
  const bool with_baseline = indices.front() == index_of(results.baseline);
  if (with_baseline) entries.push_back(entries.front());
  if (!meter) meter = std::make_unique<CeilingMeter>(ProbeSet::in_use);
  time_in_turns(entries, material, options, *meter, work.begin(timing_units(group.size() + 1)),
                [&] {
                  for (std::size_t i = 0; options.on_round && i < indices.size(); ++i) {
                    results.variants[indices[i]].latency = latency_of(entries[i].samples, number);
                  }
                  if (options.on_round) options.on_round(results);
                });
  const Ceilings ceilings = meter->result();
  results.run.ceilings = ceiling_facts(ceilings);
  for (std::size_t i = 0; i < indices.size(); ++i) {
    record(entries[i], indices[i], number, ceilings);
  }
  if (with_baseline) {
    std::vector<const Latency*> all;
    all.reserve(indices.size());
    for (const std::size_t index : indices) all.push_back(&*results.variants[index].latency);
    results.noise =
        noise_of(results.baseline, *all.front(), latency_of(entries.back().samples, number), all);
  }
  const auto fused = std::ranges::find_if(entries, [](const Timed& entry) {
    return entry.variant.attention != ops::Attention::eager;  // which cannot promise it
  });
  if (options.mode != Mode::quick && results.numerics_cost.is_null() && fused != entries.end()) {
    results.numerics_cost =
        numerics_cost(*fused, material, options, work.begin(2 * timing_units(1)));
  }
  save();
}

void Study::Impl::time_all() {
  std::int64_t number = 0;
  for (const std::vector<std::size_t>& group : groups()) {
    const bool missing = std::ranges::any_of(
        group, [&](std::size_t index) { return !results.variants[index].latency; });
    if (missing) time_group(group, number);
    ++number;
  }
  meter.reset();
}

void Study::Impl::write_samples(std::size_t index) {
  VariantResult& result = results.variants[index];
  if (result.samples.empty()) result.samples = samples_of(runnable(index), material);
}

void Study::Impl::judge_group(const std::vector<std::size_t>& candidates, std::size_t reference) {
  std::vector<std::size_t> judged = candidates;
  judged.push_back(reference);
  const Progress loading = work.begin(kLoadUnits);
  // What is loaded first leaves less for the others.
  std::vector<WeightFormat> formats = formats_of({reference});
  shelf.hold(formats, loading);
  for (const WeightFormat format : formats_of(candidates)) {
    const VariantResult& candidate = results.variants[candidates.front()];
    if (shelf.find(format) == nullptr &&
        candidate.memory.needed_bytes > static_cast<std::int64_t>(available_memory())) {
      for (const std::size_t index : candidates) {
        results.variants[index].quality_reason =
            fmt::format("it does not fit the memory beside the reference, {}", results.reference);
      }
      return save();
    }
    if (format != formats.front()) formats.push_back(format);
  }
  shelf.hold(formats, loading);
  std::vector<Runnable> runnables;
  runnables.reserve(candidates.size());
  for (const std::size_t index : candidates) runnables.push_back(runnable(index));
  const auto found =
      judge(runnables, runnable(reference), material, work.begin(judging_units(judged.size())));
  for (std::size_t i = 0; i < judged.size(); ++i) {
    results.variants[judged[i]].quality = found[i];
    write_samples(judged[i]);
  }
  save();
}

void Study::Impl::judge_all() {
  if (!material.tokenizer) return;
  const std::size_t reference = index_of(results.reference);
  for (const std::vector<std::size_t>& group : groups()) {
    std::vector<std::size_t> candidates;
    for (const std::size_t index : group) {
      const VariantResult& variant = results.variants[index];
      if (index != reference && variant.measured() && !variant.quality) candidates.push_back(index);
    }
    const bool alone = group.front() == reference && !results.variants[reference].quality;
    if (!candidates.empty() || alone) judge_group(candidates, reference);
  }
}

void Study::Impl::profile_all() {
  if (options.mode == Mode::quick) return;
  for (const std::vector<std::size_t>& group : groups()) {
    for (const std::size_t index : group) {
      VariantResult& variant = results.variants[index];
      if (!variant.measured() || !variant.profile.is_null()) continue;
      shelf.hold(formats_of(shelf.holds_all() ? group : std::vector{index}), {});
      if (!meter) meter = std::make_unique<CeilingMeter>(ProbeSet::in_use);
      report(work.begin(timing_units(1)), "profiling " + variant.name, 0, 1);
      const VariantProfile found = profile_of(runnable(index), material, options, *meter);
      variant.profile = found.profile;
      if (options.on_trace) {
        variant.profile["trace_file"] = options.on_trace(variant.name, found.trace);
      }
      save();
    }
  }
  meter.reset();
}

void Study::Impl::sweep_all() {
  if (options.mode != Mode::full || !results.sweeps.is_null()) return;
  Sweeps sweeps;
  SweepOptions sweep;
  sweep.memory_limit = options.memory_limit_bytes;
  for (const std::vector<std::size_t>& group : groups()) {
    shelf.hold(formats_of(group), {});
    std::vector<SweepVariant> variants;
    for (const std::size_t index : group) {
      const Runnable ready = runnable(index);
      variants.push_back({results.variants[index].name, ready.model, ready.context});
    }
    sweep.progress = work.begin(sweeping_units(group.size()));
    const Sweeps found = run_sweeps(variants, sweep);
    sweeps.points.insert(sweeps.points.end(), found.points.begin(), found.points.end());
    sweeps.skipped.insert(sweeps.skipped.end(), found.skipped.begin(), found.skipped.end());
    ++sweep.turns;
  }
  results.sweeps = as_json(sweeps, results.noise ? results.noise->floor_decode : kSweepNoise);
  save();
}

void Study::Impl::run() {
  for (const std::vector<std::size_t>& group : groups()) {
    const auto lacks = [&](const auto& part) {
      return std::ranges::any_of(group, [&](std::size_t i) { return !part(results.variants[i]); });
    };
    if (lacks([](const VariantResult& v) { return v.latency.has_value(); })) {
      work.expect(kLoadUnits + timing_units(group.size() + 1));
    }
    if (material.tokenizer && lacks([](const VariantResult& v) { return v.quality.has_value(); })) {
      work.expect(kLoadUnits + judging_units(group.size() + 1));
    }
  }
  if (options.mode != Mode::quick) work.expect(timing_units(results.variants.size() + 2));
  if (options.mode == Mode::full) work.expect(sweeping_units(results.variants.size()));
  time_all();
  if (groups().empty()) throw InputError(results.variants.front().reason.value());
  judge_all();
  profile_all();
  sweep_all();
}

void Study::Impl::save() {
  results.run.seconds =
      earlier_seconds + std::chrono::duration<double>(Clock::now() - started).count();
  draw_conclusions(results);
  if (options.on_part) options.on_part(results);
}

Study::Study(StudyOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Study::~Study() = default;

const Results& Study::results() const {
  return impl_->results;
}

void Study::resume(Results earlier) {
  PLIMSOLL_CHECK(capsule_of(earlier, true) == capsule_of(impl_->results, true));
  impl_->earlier_seconds = earlier.run.seconds;
  impl_->results = std::move(earlier);
  impl_->results.run.complete = false;
  impl_->results.run.finished.reset();
  impl_->results.imported = impl_->options.imported;
}

void Study::run() {
  impl_->run();
}

void Study::add_adaptation(RawJson adaptation) {
  impl_->results.adaptation = std::move(adaptation);
  impl_->save();
}

void Study::finish() {
  impl_->results.run.complete = true;
  impl_->results.run.finished = utc_now();
  impl_->save();
}

}  // namespace plimsoll::study
