// Training steps of LoRA beside every linear layer, in windows of 256 tokens: GFLOP/s that the
// operations declare, as a share of the fp32 ceiling measured in between; medians over the steps.
#include <benchmark/benchmark.h>

#include <chrono>

#include "core/rng.h"
#include "core/trace.h"
#include "eval/ceilings.h"
#include "eval/statistics.h"
#include "model/load_model.h"
#include "train/loss.h"
#include "train/trainable.h"

namespace plimsoll::study {
namespace {

struct Bench {
  const char* model;
  quant::WeightFormat weights;
  int sequences, length;
};

train::TrainingBatch random_batch(const ModelConfig& config, const Bench& bench) {
  Rng rng(1);
  train::TrainingBatch batch;
  for (int sequence = 0; sequence < bench.sequences; ++sequence) {
    std::vector<std::int32_t> ids(static_cast<std::size_t>(bench.length));
    for (std::int32_t& id : ids) {
      id = static_cast<std::int32_t>(rng.below(static_cast<std::uint64_t>(config.vocab_size)));
    }
    batch.add(ids);
  }
  return batch;
}

std::int64_t declared_operations() {
  std::int64_t total = 0;
  for (const trace::Event& event : trace::stop()) total += event.operations;
  return total;
}

void training_step(benchmark::State& state, const Bench& bench) {
  LoadOptions load;
  load.weights.format = bench.weights;
  load.context = bench.length;
  const auto model = load_model(bench.model, load);
  const auto network = train::make_network(*model);
  train::Parameters parameters;
  AdapterConfig adapter;
  adapter.targets = {"all-linear"};
  train::add_adapters(*network, adapter, 1, parameters);
  const train::TrainingBatch batch = random_batch(model->config(), bench);
  const auto step = [&] { return train::loss_and_gradient(*network, batch, parameters, {}); };
  trace::start();
  step();
  const auto operations = static_cast<double>(declared_operations());
  CeilingMeter meter(ProbeSet::in_use);
  std::vector<double> seconds;
  for ([[maybe_unused]] auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    benchmark::DoNotOptimize(step());
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
    state.SetIterationTime(passed.count());
    seconds.push_back(passed.count());
    meter.round();
  }
  const double ceiling = meter.result().unit("fp32")->gops.median;
  const double taken = median(seconds);
  state.counters["GFLOP/s"] = operations / taken * 1e-9;
  state.counters["spread"] = relative_spread(seconds);
  state.counters["ceiling"] = ceiling;
  state.counters["share"] = operations / taken * 1e-9 / ceiling;
  state.counters["tokens/s"] = static_cast<double>(batch.rows()) / taken;
}

using enum quant::WeightFormat;

// The number of steps is fixed: the library would load the model again to find it out.
void timed_by_hand(benchmark::internal::Benchmark* bench) {
  bench->Unit(benchmark::kMillisecond)->UseManualTime();
}

BENCHMARK_CAPTURE(training_step, demo_fp32, Bench{"models/demo", fp32, 8, 256})
    ->Apply(timed_by_hand)
    ->Iterations(9);
BENCHMARK_CAPTURE(training_step, demo_nf4_dq, Bench{"models/demo", nf4_dq, 8, 256})
    ->Apply(timed_by_hand)
    ->Iterations(9);
BENCHMARK_CAPTURE(training_step, tinyllama_bf16, Bench{"shape:tinyllama-1.1b", bf16, 1, 256})
    ->Apply(timed_by_hand)
    ->Iterations(3);
BENCHMARK_CAPTURE(training_step, tinyllama_nf4_dq, Bench{"shape:tinyllama-1.1b", nf4_dq, 1, 256})
    ->Apply(timed_by_hand)
    ->Iterations(3);

}  // namespace
}  // namespace plimsoll::study
