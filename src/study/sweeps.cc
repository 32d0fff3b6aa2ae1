#include "study/sweeps.h"

#include <algorithm>
#include <memory>
#include <set>

#include "core/memory.h"
#include "core/units.h"
#include "model/prefill.h"

namespace plimsoll::study {

namespace {

std::string bytes_text(std::int64_t bytes) {
  return format_bytes(static_cast<std::uint64_t>(bytes));
}

Workload workload_of(Sweep sweep, std::int64_t value, std::int64_t new_tokens) {
  if (sweep == Sweep::batch) return {0, new_tokens, 0, value};
  if (sweep == Sweep::prompt) return {value, 0, 0, 1};
  return {0, new_tokens, value, 1};
}

/// Bytes beside the weights: keys and values of every sequence, and what a pass takes on its way
/// through a layer, score matrices of eager attention included.
std::int64_t working_bytes(const SweepVariant& variant, const Workload& workload) {
  const ModelConfig& config = variant.model->config();
  const std::int64_t positions = workload.positions() + kv::kBlockTokens;
  const std::int64_t longest = std::max({workload.prompt, workload.depth, std::int64_t{1}});
  const std::int64_t rows = std::min(longest, prefill_chunk(config, variant.context));
  constexpr auto kFloat = static_cast<std::int64_t>(sizeof(float));
  std::int64_t bytes =
      workload.batch * (positions * variant.model->kv_shape(variant.context.kv).bytes_per_token() +
                        rows * activation_bytes(config) + kFloat * config.vocab_size);
  if (variant.context.attention == ops::Attention::eager) {
    bytes += kFloat * config.heads * rows * positions;
  }
  return bytes;
}

class Runner {
 public:
  Runner(std::span<const SweepVariant> variants, const SweepOptions& options)
      : variants_(variants), options_(options) {}

  Sweeps run() {
    for (const auto& [sweep, values] :
         {std::pair(Sweep::batch, &options_.batches), std::pair(Sweep::prompt, &options_.prompts),
          std::pair(Sweep::depth, &options_.depths)}) {
      for (const std::int64_t value : *values) measure(sweep, value);
    }
    return std::move(result_);
  }

 private:
  struct Entry {
    const SweepVariant* variant;
    std::unique_ptr<WorkloadRun> run;
    std::vector<double> rates;
  };

  void skip(Sweep sweep, std::int64_t value, const std::string& who, const std::string& why) {
    result_.skipped.push_back(fmt::format("{} {}{}{}: {}", sweep_name(sweep), value,
                                          who.empty() ? "" : " of ", who, why));
  }

  /// The variants that the model's positions and the memory allow.
  std::vector<const SweepVariant*> fitting(Sweep sweep, std::int64_t value,
                                           const Workload& workload) {
    std::vector<const SweepVariant*> fit;
    std::int64_t together = 0;
    for (const SweepVariant& variant : variants_) {
      const std::int64_t positions = variant.model->config().max_positions;
      if (workload.positions() > positions) {
        skip(sweep, value, variant.name,
             fmt::format("{} positions, the model has {}", workload.positions(), positions));
        continue;
      }
      const std::int64_t working = working_bytes(variant, workload);
      const std::int64_t needed = variant.model->weight_bytes() + working;
      if (options_.memory_limit && needed > *options_.memory_limit) {
        skip(sweep, value, variant.name,
             fmt::format("needs {}, --memory-limit allows {}", bytes_text(needed),
                         bytes_text(*options_.memory_limit)));
        continue;
      }
      together += working;
      fit.push_back(&variant);
    }
    const auto available = static_cast<std::int64_t>(available_memory());
    if (together <= available) return fit;
    skip(sweep, value, "",
         fmt::format("the variants need {} together, {} are available", bytes_text(together),
                     bytes_text(available)));
    return {};
  }

  void measure(Sweep sweep, std::int64_t value) {
    const Workload workload = workload_of(sweep, value, options_.new_tokens);
    const auto say = [&](int repeat, const std::string& variant) {
      report(options_.progress, fmt::format("{} {}, {}", sweep_name(sweep), value, variant), repeat,
             options_.repeats);
    };
    std::vector<Entry> entries;
    for (const SweepVariant* variant : fitting(sweep, value, workload)) {
      say(0, variant->name);
      entries.push_back({variant,
                         std::make_unique<WorkloadRun>(*variant->model, variant->context, workload),
                         {}});
      entries.back().run->seconds();
    }
    for (int repeat = 1; repeat <= options_.repeats; ++repeat) {
      for (Entry& entry : entries) {
        say(repeat, entry.variant->name);
        entry.rates.push_back(static_cast<double>(workload.tokens()) / entry.run->seconds());
      }
    }
    for (Entry& entry : entries) {
      result_.points.push_back(
          {sweep, entry.variant->name, value, options_.turns, summarised(std::move(entry.rates))});
    }
  }

  std::span<const SweepVariant> variants_;
  const SweepOptions& options_;
  Sweeps result_;
};

nlohmann::ordered_json sampled_json(const Sampled& sampled) {
  nlohmann::ordered_json json{
      {"median", sampled.median}, {"mean", sampled.mean}, {"stddev", sampled.stddev}};
  json["low"] = nullptr;
  json["high"] = nullptr;
  if (sampled.interval) {
    json["low"] = sampled.interval->low;
    json["high"] = sampled.interval->high;
  }
  json["samples"] = sampled.samples;
  return json;
}

}  // namespace

std::string_view sweep_name(Sweep sweep) {
  constexpr std::string_view kNames[]{"batch", "prompt", "depth"};
  return kNames[static_cast<std::size_t>(sweep)];
}

Sweeps run_sweeps(std::span<const SweepVariant> variants, const SweepOptions& options) {
  PLIMSOLL_CHECK(options.repeats >= 1 && options.new_tokens >= 1);
  return Runner(variants, options).run();
}

nlohmann::ordered_json as_json(const Sweeps& sweeps, double floor) {
  using Json = nlohmann::ordered_json;
  Json json{{"batch", Json::array()}, {"prompt", Json::array()}, {"depth", Json::array()}};
  for (const SweepPoint& point : sweeps.points) {
    json[std::string(sweep_name(point.sweep))].push_back(
        {{"variant", point.variant},
         {"value", point.value},
         {"turns", point.turns},
         {"tokens_per_second", sampled_json(point.tokens_per_second)}});
  }
  json["crossovers"] = Json::array();
  for (const Crossover& each : crossovers(sweeps.points, floor)) {
    json["crossovers"].push_back({{"sweep", sweep_name(each.sweep)},
                                  {"faster", each.faster},
                                  {"slower", each.slower},
                                  {"at", each.at ? Json(*each.at) : Json()},
                                  {"text", each.text}});
  }
  json["skipped"] = sweeps.skipped;
  return json;
}

}  // namespace plimsoll::study
