#include "study/timing.h"

#include <algorithm>

#include "core/trace.h"
#include "eval/energy.h"
#include "eval/memory_account.h"
#include "eval/statistics.h"
#include "kv/block_pool.h"
#include "model/prefill.h"

namespace plimsoll::study {

namespace {

void time_once(const Timed& entry, const ops::Context& context, const Material& material,
               const StudyOptions& options, LatencySamples& samples,
               EnergyMeter* energy = nullptr) {
  measure_prefill(*entry.model, context, material.prefill, samples);
  if (energy != nullptr) energy->start();
  measure_generation(*entry.model, context, material.decode_prompt, options.new_tokens, samples);
}

/// New tokens of all rounds.
double tokens_of(const LatencySamples& samples) {
  return static_cast<double>(samples.new_tokens) *
         static_cast<double>(samples.decode_seconds.size());
}

template <class Run>
DeclaredWork declared_by(const Run& run) {
  trace::start();
  run();
  DeclaredWork work;
  for (const trace::Event& event : trace::stop()) {
    work.bytes += event.bytes;
    work.operations += event.operations;
  }
  return work;
}

/// Keys and values of a sequence of `length` tokens.
std::int64_t kv_bytes(const Timed& entry, std::int64_t length) {
  const kv::KvShape shape = entry.model->kv_shape(entry.context.kv);
  const std::int64_t step = prefill_chunk(entry.model->config(), entry.context);
  return shape.bytes_per_token() * shape.tokens_held(length, step);
}

/// Adds a run over sequences of `length` tokens at most to what is known of the entry's memory.
template <class Run>
void charge(Timed& entry, std::int64_t length, const Run& run) {
  MemoryAccount account;
  account.device = entry.context.device;
  account.charge_alone(run);
  RunMemory& memory = entry.memory;
  memory.peak = std::max(memory.peak, account.peak);
  memory.workspace = std::max(memory.workspace, account.peak - kv_bytes(entry, length));
  memory.known = memory.known && account.known;
}

void warm_up(Timed& entry, const Material& material, const StudyOptions& options) {
  LatencySamples thrown_away;
  charge(entry, static_cast<std::int64_t>(material.prefill.size()), [&] {
    entry.prefill = declared_by(
        [&] { measure_prefill(*entry.model, entry.context, material.prefill, thrown_away); });
  });
  const auto length = static_cast<std::int64_t>(material.decode_prompt.size()) + options.new_tokens;
  charge(entry, length, [&] {
    entry.decode = declared_by([&] {
      measure_generation(*entry.model, entry.context, material.decode_prompt, options.new_tokens,
                         thrown_away);
    });
  });
}

}  // namespace

std::optional<double> DeclaredWork::share_of_ceiling(double seconds, const Ceilings& ceilings,
                                                     std::string_view unit) const {
  const UnitCeiling* peak = ceilings.unit(unit);
  if (peak == nullptr || bytes == 0) return std::nullopt;
  const double by_bytes = static_cast<double>(bytes) * 1e-9 / ceilings.read().gbps.median;
  const double by_operations = static_cast<double>(operations) * 1e-9 / peak->gops.median;
  return std::max(by_bytes, by_operations) / seconds;
}

std::int64_t shared_growth(const std::vector<Timed>& entries, const Material& material) {
  // Enough for the kernels that a long prompt takes.
  constexpr std::size_t kTokens = 64;
  const std::span prompt(material.prefill.data(), std::min(material.prefill.size(), kTokens));
  MemoryAccount account;
  account.device = entries.front().context.device;
  account.charge_alone([&] {
    for (const Timed& entry : entries) {
      LatencySamples thrown_away;
      measure_generation(*entry.model, entry.context, prompt, 2, thrown_away);
    }
    return_freed_memory(account.device);
  });
  return std::max<std::int64_t>(0, account.held);
}

void time_in_turns(std::vector<Timed>& entries, const Material& material,
                   const StudyOptions& options, CeilingMeter& ceilings, const Progress& progress,
                   const std::function<void()>& on_round) {
  const std::size_t count = entries.size();
  const auto rounds = static_cast<std::size_t>(options.repeats);
  const std::size_t kept = entries.front().samples.decode_seconds.size();
  EnergyMeter energy;
  for (std::size_t round = 0; round <= rounds; ++round) {
    if (round > 0 && round <= kept) continue;
    if (round > 0 || kept > 0) ceilings.round();
    for (std::size_t turn = 0; turn < count; ++turn) {
      Timed& entry = entries[(round + turn) % count];
      report(progress, fmt::format("timing {}", entry.variant.name()),
             static_cast<std::int64_t>(round * count + turn),
             static_cast<std::int64_t>((rounds + 1) * count));
      if (round == 0) {
        warm_up(entry, material, options);
      } else {
        time_once(entry, entry.context, material, options, entry.samples, &energy);
        if (const auto joules = energy.joules()) entry.joules = entry.joules.value_or(0) + *joules;
      }
    }
    if (round > 0) on_round();
  }
}

Latency latency_of(const LatencySamples& samples, std::int64_t turns) {
  Latency latency;
  latency.repeats = static_cast<std::int64_t>(samples.decode_seconds.size());
  latency.turns = turns;
  latency.end_to_end_seconds = summarised(samples.end_to_end_seconds());
  latency.ttft_seconds = summarised(samples.ttft_seconds);
  latency.tpot_seconds = summarised(samples.tpot_seconds());
  latency.prefill_tokens_per_second = summarised(samples.prefill_rates());
  latency.decode_tokens_per_second = summarised(samples.decode_rates());
  return latency;
}

LatencySamples samples_of(const Latency& latency, std::int64_t prefill_tokens,
                          std::int64_t new_tokens, std::size_t rounds) {
  LatencySamples samples;
  samples.prefill_tokens = prefill_tokens;
  samples.new_tokens = new_tokens;
  for (std::size_t i = 0; i < rounds; ++i) {
    samples.prefill_seconds.push_back(static_cast<double>(prefill_tokens) /
                                      latency.prefill_tokens_per_second.samples[i]);
    samples.ttft_seconds.push_back(latency.ttft_seconds.samples[i]);
    samples.decode_seconds.push_back(static_cast<double>(samples.decode_tokens()) *
                                     latency.tpot_seconds.samples[i]);
  }
  return samples;
}

EnergyFacts energy_of(const Timed& timed) {
  if (timed.context.device != nullptr) {
    return {std::nullopt, std::nullopt, "measured when all rounds are over"};
  }
  if (!timed.joules) return {std::nullopt, std::nullopt, EnergyMeter().reason()};
  return {*timed.joules / tokens_of(timed.samples), "rapl", std::nullopt};
}

EnergyFacts gpu_energy(const Timed& entry, const Material& material, const StudyOptions& options) {
  EnergyMeter meter = EnergyMeter::of(entry.context);
  if (!meter.reason().empty()) return {std::nullopt, std::nullopt, meter.reason()};
  constexpr double kSeconds = 2;
  LatencySamples samples;
  double seconds = 0;
  meter.start();
  while (seconds < kSeconds) {
    measure_generation(*entry.model, entry.context, material.decode_prompt, options.new_tokens,
                       samples);
    seconds += samples.ttft_seconds.back() + samples.decode_seconds.back();
  }
  const auto joules = meter.joules();
  if (!joules) return {std::nullopt, std::nullopt, meter.reason()};
  return {*joules / tokens_of(samples), meter.source(), std::nullopt};
}

double joules_of(const EnergyFacts& energy, const LatencySamples& samples) {
  return energy.joules_per_token.value_or(0) * tokens_of(samples);
}

RawJson numerics_cost(const Timed& entry, const Material& material, const StudyOptions& options,
                      const Progress& progress) {
  LatencySamples fast, invariant;
  for (std::int64_t round = 0; round <= options.repeats; ++round) {
    report(progress, "timing numerics", round, options.repeats + 1);
    for (const auto numerics : {ops::Numerics::fast, ops::Numerics::invariant}) {
      LatencySamples warm_up;
      LatencySamples& samples = numerics == ops::Numerics::fast ? fast : invariant;
      ops::Context context = entry.context;
      context.numerics = numerics;
      time_once(entry, context, material, options, round == 0 ? warm_up : samples);
    }
  }
  return numerics_cost_of(entry.variant.name(), fast, invariant);
}

RawJson numerics_cost_of(const std::string& variant, const LatencySamples& fast,
                         const LatencySamples& invariant) {
  RawJson cost{{"variant", variant}};
  const auto add = [&](const std::string& name, const std::vector<double>& changed,
                       const std::vector<double>& base) {
    const Estimate ratio = ratio_of_medians(changed, base, Pairing::paired);
    cost[name] = ratio.value - 1;
    cost[name + "_low"] = ratio.interval ? RawJson(ratio.interval->low - 1) : RawJson();
    cost[name + "_high"] = ratio.interval ? RawJson(ratio.interval->high - 1) : RawJson();
  };
  add("prefill", invariant.prefill_seconds, fast.prefill_seconds);
  add("decode", invariant.decode_seconds, fast.decode_seconds);
  cost["fast_prefill_seconds"] = fast.prefill_seconds;
  cost["fast_decode_seconds"] = fast.decode_seconds;
  cost["invariant_prefill_seconds"] = invariant.prefill_seconds;
  cost["invariant_decode_seconds"] = invariant.decode_seconds;
  return cost;
}

}  // namespace plimsoll::study
