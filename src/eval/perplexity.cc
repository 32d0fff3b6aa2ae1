#include "eval/perplexity.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "core/threads.h"
#include "core/trace.h"
#include "engine/generate.h"
#include "model/prefill.h"

namespace plimsoll {

namespace {

// Floats of logits held at once.
constexpr std::int64_t kLogitsAtOnce = 1 << 21;

/// Mean and its standard error from weighted samples (West 1979).
class WeightedMean {
 public:
  void add(double value, double weight) {
    total_ += weight;
    squares_of_weights_ += weight * weight;
    const double delta = value - mean_;
    mean_ += delta * weight / total_;
    spread_ += weight * delta * (value - mean_);
  }
  double mean() const { return mean_; }
  double standard_error() const {
    return std::sqrt(spread_ / total_ * squares_of_weights_) / total_;
  }

 private:
  double total_ = 0, mean_ = 0, spread_ = 0, squares_of_weights_ = 0;
};

/// Adds the names of the kernels that run while it lives. Leaves another's recording alone.
class KernelRecorder {
 public:
  explicit KernelRecorder(Kernels* kernels) : kernels_(trace::recording() ? nullptr : kernels) {
    if (kernels_ != nullptr) trace::start();
  }
  ~KernelRecorder() {
    if (kernels_ == nullptr) return;
    for (const trace::Event& event : trace::stop()) kernels_->insert(event.name);
  }
  KernelRecorder(const KernelRecorder&) = delete;
  KernelRecorder& operator=(const KernelRecorder&) = delete;

 private:
  Kernels* kernels_;
};

}  // namespace

double log_sum_exp(std::span<const float> logits) {
  const float largest = *std::max_element(logits.begin(), logits.end());
  double total = 0;
  for (const float logit : logits) total += std::exp(static_cast<double>(logit - largest));
  return static_cast<double>(largest) + std::log(total);
}

void check_scorable(const ModelConfig& config, std::span<const std::int32_t> ids,
                    const ScoreOptions& options) {
  check_ids(config, ids, "the text");
  check_context(config, options.protocol.window, options.allow_long, "--window");
  windows_of(options.protocol, static_cast<std::int64_t>(ids.size()), options.model_adds_bos);
}

std::vector<Kernels> for_each_scored(std::span<const Scored> models,
                                     std::span<const std::int32_t> ids, const ScoreOptions& options,
                                     const std::function<void(const ScoredRows&)>& on_rows) {
  std::vector<kv::BlockPool> pools;
  for (const Scored& scored : models) {
    check_scorable(scored.model->config(), ids, options);
    PLIMSOLL_CHECK(scored.model->config().vocab_size == models.front().model->config().vocab_size);
    pools.push_back(pool_for(*scored.model, scored.context, options.protocol.window));
  }
  const auto windows =
      windows_of(options.protocol, static_cast<std::int64_t>(ids.size()), options.model_adds_bos);
  const std::int64_t rows_at_once =
      std::max<std::int64_t>(1, kLogitsAtOnce / models.front().model->config().vocab_size);
  std::vector<Kernels> kernels(models.size());
  for (std::size_t index = 0; index < windows.size(); ++index) {
    report(options.progress, "scoring", static_cast<std::int64_t>(index),
           static_cast<std::int64_t>(windows.size()));
    const Window& window = windows[index];
    std::vector<std::int32_t> tokens(ids.begin() + window.begin, ids.begin() + window.end);
    if (window.bos_first && options.bos_id) tokens.front() = *options.bos_id;
    std::vector<Tensor> hidden;
    for (std::size_t i = 0; i < models.size(); ++i) {
      kv::Sequence sequence(pools[i]);
      const KernelRecorder recorder(index == 0 ? &kernels[i] : nullptr);
      hidden.push_back(hidden_states(*models[i].model, models[i].context, sequence, tokens));
    }
    // Row r predicts token r + 1.
    const auto last = static_cast<std::int64_t>(tokens.size()) - 1;
    for (std::int64_t row = window.first_scored - window.begin - 1; row < last;) {
      const std::int64_t count = std::min(rows_at_once, last - row);
      std::vector<Tensor> logits;
      for (std::size_t i = 0; i < models.size(); ++i) {
        const KernelRecorder recorder(index == 0 ? &kernels[i] : nullptr);
        logits.push_back(
            models[i].model->logits(models[i].context, hidden[i].rows(row, row + count)).to_host());
      }
      on_rows({logits,
               std::span(tokens).subspan(static_cast<std::size_t>(row + 1),
                                         static_cast<std::size_t>(count)),
               window.weight, index});
      row += count;
    }
  }
  const auto total = static_cast<std::int64_t>(windows.size());
  report(options.progress, "scoring", total, total);
  return kernels;
}

void require_finite_loss(double nll) {
  if (std::isfinite(nll)) return;
  throw InputError("the model", "loss", fmt::format("{}", nll),
                   "a finite number: its weights are damaged");
}

Perplexity perplexity(const Model& model, const ops::Context& context,
                      std::span<const std::int32_t> ids, const ScoreOptions& options) {
  Perplexity result;
  result.protocol = options.protocol;
  result.tokens = static_cast<std::int64_t>(ids.size());
  for (const Window& window : windows_of(options.protocol, result.tokens, options.model_adds_bos)) {
    result.tokens_processed += window.end - window.begin;
  }
  WeightedMean nll;
  const auto start = std::chrono::steady_clock::now();
  const Scored scored{&model, context};
  const auto kernels =
      for_each_scored(std::span(&scored, 1), ids, options, [&](const ScoredRows& rows) {
        const Tensor& logits = rows.logits.front();
        std::vector<double> losses(rows.targets.size());
        parallel_for(logits.dim(0), 1, [&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t row = begin; row < end; ++row) {
            const Tensor line = logits.rows(row, row + 1);
            const auto i = static_cast<std::size_t>(row);
            losses[i] = log_sum_exp(line.span<float>()) -
                        static_cast<double>(line.data<float>()[rows.targets[i]]);
          }
        });
        for (const double loss : losses) nll.add(loss, rows.weight);
        result.tokens_scored += static_cast<std::int64_t>(losses.size());
      });
  result.kernels = kernels.front();
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  result.nll = nll.mean();
  require_finite_loss(result.nll);
  result.ppl = std::exp(result.nll);
  result.ppl_stderr = result.ppl * nll.standard_error();
  return result;
}

}  // namespace plimsoll
