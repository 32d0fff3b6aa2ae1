// The parts of a study that take time: timing in turns, profiles, sweeps.
#include <algorithm>

#include "eval/slow_paths.h"
#include "kv/block_pool.h"
#include "study/facts.h"
#include "study/profiling.h"
#include "study/sitting.h"
#include "study/sweeps.h"
#include "study/verdicts.h"

namespace plimsoll::study {

namespace {

/// Relative difference that counts in a sweep where nothing is known of the noise.
constexpr double kSweepNoise = 0.02;

}  // namespace

std::int64_t Study::Impl::timing_units(std::size_t entries) const {
  const auto prefill = static_cast<std::int64_t>(material.prefill.size());
  return static_cast<std::int64_t>(entries) * (options.repeats + 1) *
         (prefill / 4 + options.new_tokens);
}

std::int64_t Study::Impl::sweeping_units(std::size_t variants) const {
  return static_cast<std::int64_t>(variants) * sweep_units({}, config.max_positions);
}

std::vector<Timed> Study::Impl::entries_of(const std::vector<std::size_t>& indices,
                                           bool with_baseline) const {
  // Rounds that an interrupted sitting has left are whole for all of a group.
  std::size_t rounds = static_cast<std::size_t>(options.repeats);
  const auto has = [&](const Sampled& figure) { rounds = std::min(rounds, figure.samples.size()); };
  for (const std::size_t index : indices) {
    const std::optional<Latency>& latency = results.variants[index].latency;
    if (!latency) rounds = 0;
    if (rounds == 0) break;
    has(latency->prefill_tokens_per_second), has(latency->ttft_seconds), has(latency->tpot_seconds);
  }
  if (with_baseline && !results.noise) rounds = 0;
  if (with_baseline && rounds > 0) {
    has(results.noise->prefill_tokens_per_second), has(results.noise->decode_tokens_per_second);
  }
  const auto prefill = static_cast<std::int64_t>(material.prefill.size());
  std::vector<Timed> entries;
  entries.reserve(indices.size() + 1);
  for (const std::size_t index : indices) {
    const Runnable ready = runnable(index);
    Timed& entry = entries.emplace_back(Timed{options.variants[index], ready.model, ready.context});
    if (rounds == 0) continue;
    const VariantResult& variant = results.variants[index];
    entry.samples = samples_of(*variant.latency, prefill, options.new_tokens, rounds);
    if (variant.energy.joules_per_token) entry.joules = joules_of(variant.energy, entry.samples);
  }
  if (!with_baseline) return entries;
  entries.push_back(entries.front());
  if (rounds > 0) {
    // Of the second measurement the two rates are kept, as nothing else is made of it.
    Latency second = *results.variants[indices.front()].latency;
    second.prefill_tokens_per_second = results.noise->prefill_tokens_per_second;
    for (std::size_t i = 0; i < rounds; ++i) {
      second.tpot_seconds.samples[i] = 1 / results.noise->decode_tokens_per_second.samples[i];
    }
    entries.back().samples = samples_of(second, prefill, options.new_tokens, rounds);
  }
  return entries;
}

void Study::Impl::keep_rounds(const std::vector<Timed>& entries,
                              const std::vector<std::size_t>& indices, std::int64_t number) {
  std::vector<const Latency*> all;
  all.reserve(indices.size());
  for (std::size_t i = 0; i < indices.size(); ++i) {
    VariantResult& result = results.variants[indices[i]];
    result.latency = latency_of(entries[i].samples, number);
    result.energy = energy_of(entries[i]);
    all.push_back(&*result.latency);
  }
  if (entries.size() > indices.size()) {
    results.noise =
        noise_of(results.baseline, *all.front(), latency_of(entries.back().samples, number), all);
  }
}

void Study::Impl::record(const Timed& timed, std::size_t index, const Ceilings& ceilings) {
  VariantResult& result = results.variants[index];
  const Loaded& loaded = *shelf.find(timed.variant.weights);
  MemoryFacts& memory = result.memory;
  memory.weights_bytes = loaded.model->weight_bytes();
  memory.kv_bytes = loaded.model->kv_shape(timed.context.kv).bytes_per_token() * generated;
  memory.workspace_bytes = timed.memory.workspace;
  if (timed.memory.known && loaded.memory.known) {
    memory.peak_bytes =
        base_memory + std::max(loaded.memory.peak, loaded.memory.held + timed.memory.peak);
  }
  const std::string_view unit = ops::unit_of(timed.context, timed.variant.weights);
  const double prefill = static_cast<double>(timed.samples.prefill_tokens) /
                         result.latency->prefill_tokens_per_second.median;
  result.share_of_ceiling = {
      timed.prefill.share_of_ceiling(prefill, ceilings, unit),
      timed.decode.share_of_ceiling(result.latency->end_to_end_seconds.median, ceilings, unit)};
  result.numerics = ops::numerics_name(timed.context.numerics);
  result.slow_paths =
      slow_paths(*loaded.model, timed.context, static_cast<std::int64_t>(material.prefill.size()));
  if (options.context.device != nullptr) result.energy = gpu_energy(timed, material, options);
  result.status = "measured";
}

void Study::Impl::time_group(const std::vector<std::size_t>& group, std::int64_t number) {
  shelf.hold(formats_of(group), work.begin(kLoadUnits));
  std::vector<std::size_t> indices;
  for (const std::size_t index : group) {
    const Variant& variant = options.variants[index];
    if (const auto failure = shelf.failures().find(variant.weights);
        failure != shelf.failures().end()) {
      results.variants[index].status = "failed";
      results.variants[index].reason = failure->second;
      continue;
    }
    indices.push_back(index);
  }
  if (indices.empty()) return;
  name_baseline();
  // The baseline takes part twice: what the two differ by is noise.
  std::vector<Timed> entries = entries_of(indices, indices.front() == index_of(results.baseline));
  if (!meter) meter = std::make_unique<CeilingMeter>(options.context);
  base_memory += shared_growth(entries, material);
  constexpr int kPatience = 10;
  Clock::time_point kept{};
  Clock::duration cost{};
  time_in_turns(entries, material, options, *meter, work.begin(timing_units(group.size() + 1)),
                [&] {
                  // Where rounds are over in a moment, saving must not take longer than they do.
                  if (Clock::now() - kept < kPatience * cost) return;
                  const Clock::time_point begin = Clock::now();
                  keep_rounds(entries, indices, number);
                  save();
                  kept = Clock::now();
                  cost = kept - begin;
                });
  keep_rounds(entries, indices, number);  // of a sitting that had them all
  const Ceilings ceilings = meter->result();
  results.run.ceilings = ceiling_facts(ceilings);
  for (std::size_t i = 0; i < indices.size(); ++i) record(entries[i], indices[i], ceilings);
  save();
}

void Study::Impl::take_numerics_cost() {
  if (options.mode == Mode::quick || !results.numerics_cost.is_null()) return;
  for (std::size_t i = 0; i < results.variants.size(); ++i) {
    // Eager cannot promise it.
    const Variant& variant = options.variants[i];
    if (!results.variants[i].measured() || variant.attention == ops::Attention::eager) continue;
    shelf.hold(formats_of({i}), {});
    const Runnable ready = runnable(i);
    results.numerics_cost = numerics_cost({variant, ready.model, ready.context}, material, options,
                                          work.begin(2 * timing_units(1)));
    return save();
  }
}

void Study::Impl::time_all() {
  std::int64_t number = 0;
  for (const std::vector<std::size_t>& group : groups()) {
    const bool missing = std::ranges::any_of(
        group, [&](std::size_t index) { return !results.variants[index].measured(); });
    if (missing) time_group(group, number);
    ++number;
  }
  meter.reset();
  take_numerics_cost();
}

void Study::Impl::profile_all() {
  if (options.mode == Mode::quick) return;
  for (const std::vector<std::size_t>& group : groups()) {
    for (const std::size_t index : group) {
      VariantResult& variant = results.variants[index];
      if (!variant.measured() || !variant.profile.is_null()) continue;
      shelf.hold(formats_of({index}), {});
      if (!meter) meter = std::make_unique<CeilingMeter>(options.context);
      report(work.begin(timing_units(1)), "profiling " + variant.name, 0, 1);
      const VariantProfile found = profile_of(runnable(index), material, options, *meter);
      variant.profile = found.profile;
      if (found.slow) variant.slow_paths.push_back(*found.slow);
      if (options.on_trace) {
        variant.profile["trace_file"] = options.on_trace(variant.name, found.trace);
      }
      save();
    }
  }
  meter.reset();
}

void Study::Impl::sweep_all() {
  if (options.mode != Mode::full || (results.sweeps && results.sweeps->complete)) return;
  if (!results.sweeps) results.sweeps.emplace();
  Sweeps& sweeps = *results.sweeps;
  sweeps.skipped.clear();  // is told again of each value
  const auto keep = [&] {
    find_crossovers(sweeps, results.noise ? results.noise->floor_decode : kSweepNoise,
                    results.noise ? results.noise->floor_prefill : kSweepNoise);
    save();
  };
  SweepOptions sweep;
  sweep.memory_limit = options.memory_limit_bytes;
  sweep.on_value = keep;
  for (const std::vector<std::size_t>& group : groups()) {
    shelf.hold(formats_of(group), {});
    std::vector<SweepVariant> variants;
    for (const std::size_t index : group) {
      const Runnable ready = runnable(index);
      variants.push_back({results.variants[index].name, ready.model, ready.context});
    }
    sweep.progress = work.begin(sweeping_units(group.size()));
    run_sweeps(variants, sweep, sweeps);
    ++sweep.turns;
  }
  sweeps.complete = true;
  keep();
}

}  // namespace plimsoll::study
