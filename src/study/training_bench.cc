// A training step of models/demo, eight windows of 256 tokens: GFLOP/s that the operations declare,
// as a share of the fp32 ceiling measured in between.
#include <benchmark/benchmark.h>

#include "core/rng.h"
#include "core/trace.h"
#include "eval/ceilings.h"
#include "model/load_model.h"
#include "train/loss.h"
#include "train/trainable.h"

namespace plimsoll::study {
namespace {

train::TrainingBatch random_batch(const ModelConfig& config) {
  Rng rng(1);
  train::TrainingBatch batch;
  for (int sequence = 0; sequence < 8; ++sequence) {
    std::vector<std::int32_t> ids(256);
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

void training_step(benchmark::State& state, quant::WeightFormat format) {
  LoadOptions load;
  load.weights.format = format;
  const auto model = load_model("models/demo", load);
  const auto network = train::make_network(*model);
  train::Parameters parameters;
  AdapterConfig adapter;
  adapter.targets = {"all-linear"};
  train::add_adapters(*network, adapter, 1, parameters);
  const train::TrainingBatch batch = random_batch(model->config());
  const auto step = [&] { return train::loss_and_gradient(*network, batch, parameters, {}); };
  step();
  trace::start();
  step();
  const auto operations = static_cast<double>(declared_operations());
  CeilingMeter meter(ProbeSet::in_use);
  for ([[maybe_unused]] auto _ : state) {
    benchmark::DoNotOptimize(step());
    state.PauseTiming();
    meter.round();
    state.ResumeTiming();
  }
  const auto steps = static_cast<double>(state.iterations());
  state.counters["GFLOP/s"] =
      benchmark::Counter(operations * steps * 1e-9, benchmark::Counter::kIsRate);
  state.counters["ceiling"] = meter.result().unit("fp32")->gops.median;
  state.counters["tokens/s"] = benchmark::Counter(2048 * steps, benchmark::Counter::kIsRate);
}

BENCHMARK_CAPTURE(training_step, fp32, quant::WeightFormat::fp32)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK_CAPTURE(training_step, nf4_dq, quant::WeightFormat::nf4_dq)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
}  // namespace plimsoll::study
