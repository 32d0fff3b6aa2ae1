#include "study/sweeps.h"

#include <algorithm>
#include <memory>

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

/// About how long one repeat takes, in units of a decoded token's time: a prompt's tokens go
/// through the model together, and so do a step's of a batch.
constexpr std::int64_t kTogether = 4;
std::int64_t units_of_repeat(const Workload& workload) {
  return workload.prompt / kTogether + workload.generate * (1 + workload.batch / kTogether);
}
/// Of all repeats, the warm-up among them, behind a cache that is filled once.
std::int64_t units_of(const Workload& workload, int repeats) {
  return workload.depth / kTogether + (repeats + 1) * units_of_repeat(workload);
}

template <class Do>
void for_each_value(const SweepOptions& options, const Do& measure) {
  for (const std::int64_t value : options.batches) measure(Sweep::batch, value);
  for (const std::int64_t value : options.prompts) measure(Sweep::prompt, value);
  for (const std::int64_t value : options.depths) measure(Sweep::depth, value);
}

class Runner {
 public:
  Runner(std::span<const SweepVariant> variants, const SweepOptions& options, Sweeps& sweeps)
      : variants_(variants), options_(options), sweeps_(sweeps) {}

  void run() {
    const auto count = static_cast<std::int64_t>(variants_.size());
    total_units_ = count * sweep_units(options_, variants_.front().model->config().max_positions);
    for_each_value(options_, [&](Sweep sweep, std::int64_t value) {
      const Workload workload = workload_of(sweep, value, options_.new_tokens);
      if (!has_positions(sweep, value, workload)) return;
      const std::int64_t done = done_units_;
      measure(sweep, value, workload);
      done_units_ = done + count * units_of(workload, options_.repeats);
    });
  }

 private:
  struct Entry {
    const SweepVariant* variant;
    std::unique_ptr<WorkloadRun> run;
    std::vector<double> rates;
  };

  std::vector<SweepPoint>& points_of(Sweep sweep) {
    return sweep == Sweep::batch    ? sweeps_.batch
           : sweep == Sweep::prompt ? sweeps_.prompt
                                    : sweeps_.depth;
  }

  /// Each line once: the model's positions say the same of every group of variants.
  void skip(const std::string& line) {
    if (std::ranges::find(sweeps_.skipped, line) == sweeps_.skipped.end()) {
      sweeps_.skipped.push_back(line);
    }
  }

  bool has_positions(Sweep sweep, std::int64_t value, const Workload& workload) {
    const std::int64_t positions = variants_.front().model->config().max_positions;
    if (workload.positions() <= positions) return true;
    skip(fmt::format("{} {}: {} positions, the model has {}", sweep_name(sweep), value,
                     workload.positions(), positions));
    return false;
  }

  /// The variants that the memory allows.
  std::vector<const SweepVariant*> fitting(Sweep sweep, std::int64_t value,
                                           const Workload& workload) {
    const std::string what = fmt::format("{} {}", sweep_name(sweep), value);
    std::vector<const SweepVariant*> fit;
    std::int64_t together = 0;
    for (const SweepVariant& variant : variants_) {
      const std::int64_t working = working_bytes(variant, workload);
      const std::int64_t needed = variant.model->weight_bytes() + working;
      if (options_.memory_limit && needed > *options_.memory_limit) {
        skip(fmt::format("{} of {}: needs {}, --memory-limit allows {}", what, variant.name,
                         bytes_text(needed), bytes_text(*options_.memory_limit)));
        continue;
      }
      together += working;
      fit.push_back(&variant);
    }
    const auto available =
        static_cast<std::int64_t>(ops::available_memory(variants_.front().context));
    if (together <= available) return fit;
    skip(fmt::format("{}: the variants need {} together, {} are available", what,
                     bytes_text(together), bytes_text(available)));
    return {};
  }

  void measure(Sweep sweep, std::int64_t value, const Workload& workload) {
    const std::vector<const SweepVariant*> variants = fitting(sweep, value, workload);
    std::vector<SweepPoint>& points = points_of(sweep);
    const bool measured = std::ranges::all_of(variants, [&](const SweepVariant* variant) {
      return std::ranges::any_of(points, [&](const SweepPoint& point) {
        return point.variant == variant->name && point.value == value;
      });
    });
    if (measured) return;
    const auto say = [&](const std::string& variant) {
      report(options_.progress, fmt::format("{} {}, {}", sweep_name(sweep), value, variant),
             done_units_, total_units_);
      done_units_ += units_of_repeat(workload);
    };
    std::vector<Entry> entries;
    for (const SweepVariant* variant : variants) {
      say(variant->name);
      entries.push_back({variant,
                         std::make_unique<WorkloadRun>(*variant->model, variant->context, workload),
                         {}});
      entries.back().run->seconds();
    }
    for (int repeat = 1; repeat <= options_.repeats; ++repeat) {
      for (Entry& entry : entries) {
        say(entry.variant->name);
        entry.rates.push_back(static_cast<double>(workload.tokens()) / entry.run->seconds());
      }
    }
    for (Entry& entry : entries) {
      points.push_back(
          {entry.variant->name, value, options_.turns, summarised(std::move(entry.rates))});
    }
    if (options_.on_value) options_.on_value();
  }

  std::span<const SweepVariant> variants_;
  const SweepOptions& options_;
  Sweeps& sweeps_;
  std::int64_t done_units_ = 0, total_units_ = 0;
};

}  // namespace

std::string_view sweep_name(Sweep sweep) {
  constexpr std::string_view kNames[]{"batch", "prompt", "depth"};
  return kNames[static_cast<std::size_t>(sweep)];
}

std::int64_t sweep_units(const SweepOptions& options, std::int64_t positions) {
  std::int64_t units = 0;
  for_each_value(options, [&](Sweep sweep, std::int64_t value) {
    const Workload workload = workload_of(sweep, value, options.new_tokens);
    if (workload.positions() <= positions) units += units_of(workload, options.repeats);
  });
  return units;
}

void run_sweeps(std::span<const SweepVariant> variants, const SweepOptions& options,
                Sweeps& sweeps) {
  PLIMSOLL_CHECK(!variants.empty() && options.repeats >= 1 && options.new_tokens >= 1);
  Runner(variants, options, sweeps).run();
}

}  // namespace plimsoll::study
