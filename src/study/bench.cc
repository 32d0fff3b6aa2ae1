#include "study/bench.h"

#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>

#include "core/threads.h"
#include "core/trace.h"
#include "core/units.h"
#include "engine/generate.h"
#include "eval/memory_account.h"
#include "eval/statistics.h"
#include "model/inventory.h"
#include "model/numerics.h"
#include "model/prefill.h"
#include "study/facts.h"
#include "study/load_weights.h"

namespace plimsoll::study {

namespace {

struct Loaded {
  std::unique_ptr<Model> model;
  quant::WeightFormat format = quant::WeightFormat::bf16;
  MemoryAccount memory;
};

/// One variant ready for one workload.
struct Entry {
  BenchRow row;
  const Loaded* loaded = nullptr;
  ops::Context context;
  MemoryAccount memory;
  std::unique_ptr<WorkloadRun> run;
};

class Bench {
 public:
  Bench(const BenchOptions& options, const std::function<void(const BenchRow&)>& on_row)
      : options_(options), on_row_(on_row), config_(load_config(options.model)) {
    for (const Workload& workload : options.workloads) {
      positions_ = std::max(positions_, workload.positions());
      if (!is_shape(options.model)) {
        check_context(config_, workload.positions(), /*allow_long=*/true, workload.name());
      }
    }
  }

  void run() {
    together_ = fit_together();
    if (together_) return run_with(options_.weights);
    note("the formats do not fit in memory together: one is measured after the other");
    for (const auto& format : options_.weights) run_with({format});
  }

 private:
  void note(const std::string& line) const {
    if (options_.note) options_.note(line);
  }

  bool fit_together() const {
    if (options_.weights.size() == 1) return true;
    std::uint64_t total = 0;
    for (const auto& format : options_.weights) {
      total += static_cast<std::uint64_t>(total_bytes(config_, format));
    }
    return total < ops::available_memory(options_.context) / 2;
  }

  void run_with(const std::vector<std::optional<quant::WeightFormat>>& formats) {
    ops::Device* const device = options_.context.device;
    if (device != nullptr) device->trim();
    const auto base =
        device != nullptr ? device->held_bytes() : static_cast<std::int64_t>(resident_memory());
    std::vector<Loaded> loaded;
    set_threads(*std::max_element(options_.threads.begin(), options_.threads.end()));
    loaded.reserve(formats.size());
    for (const auto& format : formats) loaded.push_back(load(format));
    for (const int threads : options_.threads) {
      set_threads(threads);
      CeilingMeter meter(options_.context);
      for (const Workload& workload : options_.workloads) {
        meter.restart();
        measure(workload, base, loaded, meter);
      }
    }
  }

  Loaded load(const std::optional<quant::WeightFormat>& format) {
    Loaded loaded;
    loaded.memory.device = options_.context.device;
    loaded.memory.charge_alone([&] {
      loaded.model = load_to_run(options_.model, format, positions_, options_.progress,
                                 options_.context.device, options_.on_loaded);
      // Mapped weights become resident when they are read first.
      WorkloadRun(*loaded.model, options_.context, {1, 0, 0, 1}).seconds();
    });
    loaded.format = format_of(*loaded.model);
    const long cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
    if (options_.context.device == nullptr && loaded.model->weight_bytes() < cache) {
      note(fmt::format(
          "the weights in {}, {}, fit the last-level cache: memory's bandwidth does not "
          "bound them",
          quant::format_name(loaded.format),
          format_bytes(static_cast<std::uint64_t>(loaded.model->weight_bytes()))));
    }
    return loaded;
  }

  Entry entry(const Loaded& loaded, ops::Attention attention, kv::KvFormat kv,
              const Workload& workload) const {
    Entry entry;
    entry.loaded = &loaded;
    entry.context = options_.context;
    entry.context.attention = attention;
    entry.context.kv = kv;
    entry.context = settled(entry.context, *loaded.model);
    entry.memory = loaded.memory;
    BenchRow& row = entry.row;
    row.model = options_.model;
    row.model_type = config_.model_type;
    row.model_bytes = loaded.model->weight_bytes();
    for (const InventoryLoader::Entry& tensor : inventory(config_)) {
      row.parameters += tensor.rows * tensor.columns;
    }
    row.weights = loaded.format;
    row.attention = attention;
    row.kv = kv;
    row.compute = options_.context.compute;
    row.numerics = entry.context.numerics;
    row.threads = threads();
    if (options_.context.device != nullptr) row.gpu = options_.context.device->name();
    row.workload = workload;
    row.chunk = prefill_chunk(config_, entry.context);
    row.interleaved = together_;
    return entry;
  }

  void measure(const Workload& workload, std::int64_t base, const std::vector<Loaded>& loaded,
               CeilingMeter& meter) {
    std::vector<Entry> entries;
    for (const Loaded& weights : loaded) {
      for (const ops::Attention attention : options_.attentions) {
        for (const kv::KvFormat kv : options_.kv_formats) {
          Entry& added = entries.emplace_back(entry(weights, attention, kv, workload));
          say(added, 0);
          added.memory.charge_alone([&] {
            added.run =
                std::make_unique<WorkloadRun>(*weights.model, added.context, added.row.workload);
            warm_up(added);
          });
          added.row.test_time = utc_now();
        }
      }
    }
    for (int repeat = 1; repeat <= options_.repeats; ++repeat) {
      meter.round();
      for (Entry& each : entries) {
        say(each, repeat);
        each.memory.charge([&] { each.row.seconds.push_back(each.run->seconds()); });
      }
    }
    const Ceilings ceilings = meter.result();
    for (Entry& each : entries) {
      BenchRow& row = each.row;
      row.unit = ops::unit_of(options_.context, row.weights);
      row.ceiling_gbps = ceilings.read().gbps.median;
      row.ceiling_gops = ceilings.unit(row.unit)->gops.median;
      if (each.memory.known) row.peak_memory_bytes = base + each.memory.peak;
      on_row_(row);
    }
  }

  void say(const Entry& entry, int repeat) const {
    report(options_.progress,
           fmt::format("{} {}+{}", entry.row.workload.name(), quant::format_name(entry.row.weights),
                       ops::attention_name(entry.row.attention)),
           repeat, options_.repeats);
  }

  /// The untimed repeat: what ran and what it declared.
  static void warm_up(Entry& entry) {
    trace::start();
    entry.run->seconds();
    std::map<std::string, std::int64_t> nanoseconds;
    for (const trace::Event& event : trace::stop()) {
      entry.row.bytes += event.bytes;
      entry.row.operations += event.operations;
      nanoseconds[std::string(event.name)] += event.duration_ns;
    }
    for (const auto& [name, time] : nanoseconds) entry.row.kernels.push_back(name);
    std::ranges::stable_sort(entry.row.kernels, [&](const auto& a, const auto& b) {
      return nanoseconds[a] > nanoseconds[b];
    });
  }

  const BenchOptions& options_;
  const std::function<void(const BenchRow&)>& on_row_;
  ModelConfig config_;
  std::int64_t positions_ = 0;
  bool together_ = true;  // all weight formats are in memory at once
};

}  // namespace

std::vector<double> BenchRow::rates() const {
  std::vector<double> rates;
  for (const double second : seconds) {
    rates.push_back(static_cast<double>(workload.tokens()) / second);
  }
  return rates;
}

double BenchRow::bytes_per_token() const {
  return static_cast<double>(bytes) / static_cast<double>(workload.tokens());
}
double BenchRow::achieved_gbps() const {
  return static_cast<double>(bytes) / median(seconds) * 1e-9;
}
double BenchRow::achieved_gops() const {
  return static_cast<double>(operations) / median(seconds) * 1e-9;
}
double BenchRow::share_of_ceiling() const {
  return std::max(achieved_gbps() / ceiling_gbps, achieved_gops() / ceiling_gops);
}
std::string_view BenchRow::bound() const {
  return achieved_gbps() / ceiling_gbps >= achieved_gops() / ceiling_gops ? "bandwidth" : "compute";
}

void run_bench(const BenchOptions& options, const std::function<void(const BenchRow&)>& on_row) {
  PLIMSOLL_CHECK(!options.weights.empty() && !options.attentions.empty() &&
                 !options.kv_formats.empty() && !options.workloads.empty() &&
                 !options.threads.empty() && options.repeats >= 1);
  Bench(options, on_row).run();
}

}  // namespace plimsoll::study
