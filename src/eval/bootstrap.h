// Intervals of medians and of their ratios from a few repeats, without assuming a distribution: the
// percentile bootstrap (Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13).
#pragma once

#include <optional>
#include <vector>

#include "eval/confidence.h"

namespace plimsoll {

/// Samples of one figure and what they say.
struct Sampled {
  double median = 0, mean = 0;
  double stddev = 0;                 // of the sample (n - 1); 0 for one
  std::optional<Interval> interval;  // of the median, 95 %; unknown with one sample
  std::vector<double> samples;       // raw, in the order in which they were taken
};

/// InternalError without samples. The same samples give the same interval: resampling is seeded.
Sampled summarised(std::vector<double> samples);

/// How the samples of two things belong together. paired: sample i of both was taken in round i,
/// and rounds are resampled whole, so that what disturbs a round cancels.
enum class Pairing { paired, independent };

/// median(a) / median(b) with its 95 % interval; the interval is unknown where either has one
/// sample. `paired` needs as many of both. Samples are positive.
Estimate ratio_of_medians(const std::vector<double>& a, const std::vector<double>& b,
                          Pairing pairing);

/// Samples of one thing under several conditions, a group each.
using SampleGroups = std::vector<std::vector<double>>;

/// The quantile `q` of the samples of all groups together, of `a` over that of `b`, with its 95 %
/// interval: samples are resampled within their group. As many groups in both; `paired` needs as
/// many samples in a group of both. The interval is unknown where a group has one sample.
Estimate ratio_of_quantiles(const SampleGroups& a, const SampleGroups& b, double q,
                            Pairing pairing);

/// The quantile of all groups together.
double pooled_quantile(const SampleGroups& groups, double q);

}  // namespace plimsoll
