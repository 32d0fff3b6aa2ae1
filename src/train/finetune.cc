#include "train/finetune.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "core/quote.h"
#include "core/rng.h"
#include "train/checkpoint.h"
#include "train/loss.h"

namespace plimsoll::train {

namespace {

using Clock = std::chrono::steady_clock;

// What layers may keep for their backward before recomputation sets in, on the CPU.
constexpr std::int64_t kKeptBytes = std::int64_t{512} << 20;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

Evaluation evaluate(const Network& network, const Dataset& data, const Progress& progress) {
  const std::vector<TrainingBatch> batches = data.held_out();
  double total = 0;
  std::int64_t scored = 0;
  for (std::size_t i = 0; i < batches.size(); ++i) {
    report(progress, "judging", static_cast<std::int64_t>(i),
           static_cast<std::int64_t>(batches.size()));
    total += loss(network, batches[i]);
    scored += batches[i].scored();
  }
  const auto count = static_cast<std::int64_t>(batches.size());
  report(progress, "judging", count, count);
  const double nll = total / static_cast<double>(scored);
  return {nll, std::exp(nll)};
}

class Run {
 public:
  Run(const Model& model, const Dataset& data, const FinetuneOptions& options)
      : data_(data), options_(options), network_(make_network(model)), metrics_(options.folder) {
    result_.adapter = options.adapter;
    if (options.beginning) {
      PLIMSOLL_CHECK(options.trained.kind == Trained::Kind::lora);
      result_.layers =
          add_adapter(*network_, *options.beginning, result_.adapter, result_.parameters);
    } else if (options.trained.kind == Trained::Kind::lora) {
      result_.layers = add_adapters(*network_, result_.adapter, options.seed, result_.parameters);
    } else {
      add_dense(*network_, options.trained, result_.parameters);
    }
    if (options.device != nullptr) {
      options.device->advise_memory([kind = options.trained.kind](std::uint64_t) -> std::string {
        return kind == Trained::Kind::lora
                   ? "lighter --weights or a smaller --rank would need less"
                   : "--train lora or fewer --train last-layers would need less";
      });
      network_->move_to(*options.device, result_.parameters);
      options.device->advise_memory([recompute = options.recompute](std::uint64_t) -> std::string {
        return recompute == Recompute::always
                   ? "a smaller --batch or --seq would need less"
                   : "a smaller --batch or --seq would need less, as would --recompute on";
      });
      kept_bytes_ = options.device->free_bytes() / 2;
    }
  }

  FinetuneResult go() {
    std::int64_t done = 0;
    std::optional<std::int64_t> resumed;
    if (options_.resume)
      resumed = read_checkpoint(options_.folder, result_.parameters, options_.recipe);
    if (resumed) done = saved_ = *resumed;
    try {
      metrics_.keep_up_to(resumed ? done : -1);
      result_.before = evaluation_at(0);
      while (done < options_.steps) {
        report(options_.progress, status_, done, options_.steps);
        train_step(done + 1);
        ++done;
        if (options_.checkpoint_every > 0 &&
            (done % options_.checkpoint_every == 0 || done == options_.steps))
          save(done);
      }
      report(options_.progress, status_, done, options_.steps);
      result_.after = evaluation_at(options_.steps);
    } catch (const Interrupted&) {
      if (done > saved_) save(done);
      if (saved_ == 0) metrics_.discard();
      throw;
    } catch (...) {
      // Nothing that could be resumed, so that nothing is in the way of the next try.
      if (saved_ == 0) metrics_.discard();
      throw;
    }
    result_.parameters.move_back();
    result_.metrics = metrics_.rows();
    return std::move(result_);
  }

 private:
  /// What metrics.jsonl has of an interrupted run, or computed and added to it; none when nothing
  /// is held out.
  std::optional<Evaluation> evaluation_at(std::int64_t step) {
    if (data_.options().eval_split <= 0) return std::nullopt;
    for (const auto& row : metrics_.rows()) {
      const auto number = [&](const char* key) {
        return row.contains(key) && row[key].is_number();
      };
      if (row["step"] == step && number("eval_nll") && number("eval_ppl"))
        return Evaluation{row["eval_nll"], row["eval_ppl"]};
    }
    const Evaluation evaluation = evaluate(*network_, data_, options_.progress);
    metrics_.add({{"step", step}, {"eval_nll", evaluation.nll}, {"eval_ppl", evaluation.ppl}});
    return evaluation;
  }

  void save(std::int64_t step) {
    if (options_.folder.empty()) return;
    write_checkpoint(options_.folder, result_.parameters, step, options_.recipe);
    saved_ = step;
  }

  [[noreturn]] void refuse(std::int64_t step, const std::string& what, double value) const {
    const std::string kept = saved_ > 0
                                 ? fmt::format("; the checkpoint of step {} is kept in {}", saved_,
                                               checkpoint_file(options_.folder).string())
                                 : "; there is no checkpoint yet";
    throw InputError(fmt::format("step {}", step), what, std::isnan(value) ? "NaN" : "infinity",
                     "a finite number (a lower --lr or --clip may help)" + kept);
  }

  bool recomputes(const TrainingBatch& batch) const {
    const std::int64_t kept =
        batch.rows() * network_->kept_per_row() * network_->config().layers * 4;
    return options_.recompute == Recompute::always ||
           (options_.recompute == Recompute::automatic && kept > kept_bytes_);
  }

  void train_step(std::int64_t step) {
    const auto start = Clock::now();
    const std::vector<TrainingBatch> batches = data_.step(step);
    std::int64_t scored = 0, rows = 0;
    for (const TrainingBatch& batch : batches) {
      scored += batch.scored();
      rows += batch.rows();
    }
    Parameters& parameters = result_.parameters;
    parameters.clear_gradients();
    double total = 0;
    for (std::size_t i = 0; i < batches.size(); ++i) {
      GradientOptions gradient;
      gradient.weight = 1.0f / static_cast<float>(scored);
      gradient.recompute = recomputes(batches[i]);
      gradient.dropout.share =
          options_.trained.kind == Trained::Kind::lora ? options_.adapter.dropout : 0;
      gradient.dropout.key =
          Rng(options_.seed, (static_cast<std::uint64_t>(step) << 20) + i).next();
      total += loss_and_gradient(*network_, batches[i], parameters, gradient);
    }
    const double mean = total / static_cast<double>(scored);
    if (!std::isfinite(mean)) refuse(step, "loss", mean);
    const double norm = parameters.gradient_norm();
    if (!std::isfinite(norm)) refuse(step, "norm of the gradients", norm);
    const double rate =
        rate_of_step(options_.schedule, options_.rate, step, options_.steps, options_.warmup);
    parameters.update({step, rate, options_.weight_decay,
                       options_.clip > 0 && norm > options_.clip ? options_.clip / norm : 1});
    if (options_.device != nullptr) options_.device->synchronize();
    const double seconds = seconds_since(start);
    result_.seconds += seconds;
    ++result_.steps;
    result_.tokens += rows;
    const double speed = static_cast<double>(rows) / seconds;
    status_ = fmt::format("training, loss {:.3f}, {:.0f} tokens/s", mean, speed);
    if (step % options_.log_every == 0 || step == options_.steps) {
      metrics_.add({{"step", step},
                    {"loss", mean},
                    {"lr", rate},
                    {"tokens_per_second", speed},
                    {"device", options_.device != nullptr ? options_.device->name() : "cpu"}});
    }
  }

  const Dataset& data_;
  const FinetuneOptions& options_;
  std::unique_ptr<Network> network_;
  Metrics metrics_;
  FinetuneResult result_;
  std::string status_ = "training";
  std::int64_t saved_ = 0;  // step of the last checkpoint
  std::int64_t kept_bytes_ = kKeptBytes;
};

}  // namespace

Recompute recompute_from_name(const std::string& name) {
  if (name == "auto") return Recompute::automatic;
  if (name == "on") return Recompute::always;
  if (name == "off") return Recompute::never;
  throw InputError("--recompute", "when", quote(name), "auto, on or off");
}

FinetuneResult finetune(const Model& model, const Dataset& data, const FinetuneOptions& options) {
  PLIMSOLL_CHECK(options.steps >= 1 && options.log_every >= 1);
  return Run(model, data, options).go();
}

}  // namespace plimsoll::train
