// What measured figures say of each other: which variant is faster, how far noise reaches, whether
// the machine drifted.
#pragma once

#include "study/results.h"

namespace plimsoll::study {

/// What a ratio of speeds says: "faster" or "slower" only where the interval leaves out 1 and the
/// ratio goes beyond the noise floor; "unknown" without an interval; otherwise "no difference".
Versus verdict_on(const Estimate& ratio, double floor);

/// `speed` against `base`, both in tokens a second (or anything that grows with speed).
Versus versus(const Sampled& speed, const Sampled& base, Pairing pairing, double floor);
/// The same of times, the ratio still that of speeds.
Versus versus_of_times(const Sampled& seconds, const Sampled& base, Pairing pairing, double floor);

/// Relative difference that noise alone makes: how far the interval of the ratio of a thing with
/// itself reaches from 1.
double noise_floor(const Estimate& ratio_with_itself);

/// `first` and `again` are one variant measured twice in the same rounds; `all` is every latency of
/// the study, for the drift.
Noise noise_of(const std::string& variant, const Latency& first, const Latency& again,
               const std::vector<const Latency*>& all);

/// Fills in what follows from measured figures: versus_baseline, cost, recommendations, warnings.
void draw_conclusions(Results& results);

}  // namespace plimsoll::study
