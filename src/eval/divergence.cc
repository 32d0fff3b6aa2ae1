#include "eval/divergence.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "core/threads.h"

namespace plimsoll {

namespace {

/// What one position says about a pair of models.
struct Comparison {
  double candidate_loss = 0, reference_loss = 0, kl = 0;
  bool same_top = false;
};

Comparison compare(std::span<const float> candidate, std::span<const float> reference,
                   std::int32_t target) {
  const double candidate_norm = log_sum_exp(candidate);
  const double reference_norm = log_sum_exp(reference);
  Comparison result;
  for (std::size_t i = 0; i < reference.size(); ++i) {
    const double log_p = static_cast<double>(reference[i]) - reference_norm;
    const double log_q = static_cast<double>(candidate[i]) - candidate_norm;
    result.kl += std::exp(log_p) * (log_p - log_q);
  }
  result.kl = std::max(result.kl, 0.0);  // rounding may leave -1e-17
  const auto top = [](std::span<const float> row) {
    return std::max_element(row.begin(), row.end()) - row.begin();
  };
  result.same_top = top(candidate) == top(reference);
  const auto at = static_cast<std::size_t>(target);
  result.candidate_loss = candidate_norm - static_cast<double>(candidate[at]);
  result.reference_loss = reference_norm - static_cast<double>(reference[at]);
  return result;
}

Perplexity perplexity_of(const ClusteredMean& losses, double ppl_stderr_of_nll,
                         const ScoreOptions& options, std::size_t tokens) {
  Perplexity result;
  result.protocol = options.protocol;
  result.tokens = static_cast<std::int64_t>(tokens);
  result.nll = losses.estimate().value;
  require_finite_loss(result.nll);
  result.ppl = std::exp(result.nll);
  result.ppl_stderr = result.ppl * ppl_stderr_of_nll;
  return result;
}

/// Standard error of the mean, samples taken as independent: as perplexity() has it.
double independent_error(const std::vector<double>& samples) {
  double mean = 0;
  for (const double value : samples) mean += value;
  mean /= static_cast<double>(samples.size());
  double squares = 0;
  for (const double value : samples) squares += (value - mean) * (value - mean);
  return std::sqrt(squares) / static_cast<double>(samples.size());
}

/// One candidate's figures while the windows go by.
struct Tally {
  ClusteredMean kl, same_top, candidate_loss, difference;
  ClusteredPercentiles percentiles;
  std::vector<double> candidate_losses;
  double squared_change = 0;

  void add(const std::vector<Comparison>& comparisons, const ScoredRows& rows) {
    for (const Comparison& c : comparisons) {
      kl.add(c.kl, rows.weight, rows.window);
      same_top.add(c.same_top ? 1 : 0, rows.weight, rows.window);
      candidate_loss.add(c.candidate_loss, rows.weight, rows.window);
      difference.add(c.candidate_loss - c.reference_loss, rows.weight, rows.window);
      const double change = std::exp(-c.candidate_loss) - std::exp(-c.reference_loss);
      squared_change += change * change;
      percentiles.add(c.kl, rows.window);
      candidate_losses.push_back(c.candidate_loss);
    }
  }

  Divergence result() {
    Divergence result;
    result.kl_mean = kl.estimate();
    result.same_top = same_top.estimate();
    if (auto& share = result.same_top.interval) {
      share->low = std::max(share->low, 0.0);
      share->high = std::min(share->high, 1.0);
    }
    const Estimate log_ratio = difference.estimate();
    result.ppl_ratio.value = std::exp(log_ratio.value);
    if (log_ratio.interval) {
      result.ppl_ratio.interval =
          Interval{std::exp(log_ratio.interval->low), std::exp(log_ratio.interval->high)};
    }
    result.rms_probability_change =
        std::sqrt(squared_change / static_cast<double>(candidate_losses.size()));
    for (const char* percent : {"50", "90", "95", "99", "99.9"}) {
      result.kl_percentiles[percent] = percentiles.estimate(std::stod(percent));
    }
    return result;
  }
};

void require_one_vocabulary(const Scored& candidate, const Scored& reference) {
  if (candidate.model->config().vocab_size != reference.model->config().vocab_size) {
    throw InputError("--reference", "vocabulary",
                     fmt::format("{} tokens", reference.model->config().vocab_size),
                     fmt::format("{}, the model's", candidate.model->config().vocab_size));
  }
}

}  // namespace

std::vector<Divergence> divergences(std::span<const Scored> candidates, const Scored& reference,
                                    std::span<const std::int32_t> ids,
                                    const ScoreOptions& options) {
  PLIMSOLL_CHECK(!candidates.empty());
  for (const Scored& candidate : candidates) require_one_vocabulary(candidate, reference);
  std::vector<Scored> models(candidates.begin(), candidates.end());
  models.push_back(reference);
  std::vector<Tally> tallies(candidates.size());
  ClusteredMean reference_loss;
  std::vector<double> reference_losses;
  const auto start = std::chrono::steady_clock::now();
  const auto kernels = for_each_scored(models, ids, options, [&](const ScoredRows& rows) {
    std::vector<Comparison> comparisons(rows.targets.size());
    for (std::size_t which = 0; which < tallies.size(); ++which) {
      parallel_for(static_cast<std::int64_t>(comparisons.size()), 1,
                   [&](std::int64_t begin, std::int64_t end) {
                     for (std::int64_t row = begin; row < end; ++row) {
                       const auto i = static_cast<std::size_t>(row);
                       const Tensor q = rows.logits[which].rows(row, row + 1),
                                    p = rows.logits.back().rows(row, row + 1);
                       comparisons[i] = compare(q.span<float>(), p.span<float>(), rows.targets[i]);
                     }
                   });
      tallies[which].add(comparisons, rows);
    }
    for (const Comparison& c : comparisons) {
      reference_loss.add(c.reference_loss, rows.weight, rows.window);
      reference_losses.push_back(c.reference_loss);
    }
  });
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();

  Perplexity of_reference =
      perplexity_of(reference_loss, independent_error(reference_losses), options, ids.size());
  of_reference.tokens_scored = static_cast<std::int64_t>(reference_losses.size());
  of_reference.kernels = kernels.back();
  std::int64_t processed = 0;
  for (const Window& window :
       windows_of(options.protocol, of_reference.tokens, options.model_adds_bos)) {
    processed += window.end - window.begin;
  }
  std::vector<Divergence> results;
  results.reserve(tallies.size());
  for (std::size_t which = 0; which < tallies.size(); ++which) {
    Tally& tally = tallies[which];
    Divergence& result = results.emplace_back(tally.result());
    result.reference = of_reference;
    result.candidate = perplexity_of(
        tally.candidate_loss, independent_error(tally.candidate_losses), options, ids.size());
    result.candidate.tokens_scored = of_reference.tokens_scored;
    result.candidate.tokens_processed = processed;
    result.candidate.kernels = kernels[which];
    result.candidate.seconds = seconds;
  }
  return results;
}

Divergence divergence(const Scored& candidate, const Scored& reference,
                      std::span<const std::int32_t> ids, const ScoreOptions& options) {
  return std::move(divergences(std::span(&candidate, 1), reference, ids, options).front());
}

}  // namespace plimsoll
