// Quality of variants against a reference, on the arithmetic path that is timed; and what they
// write.
#pragma once

#include <span>
#include <vector>

#include "eval/ceilings.h"
#include "study/material.h"
#include "study/shelf.h"

namespace plimsoll::study {

/// A variant ready to be run.
struct Runnable {
  const Model* model = nullptr;
  ops::Context context;
};

/// Of each candidate against the reference, in one pass over the text; `candidates` may be empty.
/// The last of what comes back is the reference against itself: ratio 1, divergence 0.
std::vector<QualityFacts> judge(std::span<const Runnable> candidates, const Runnable& reference,
                                const Material& material, const Progress& progress);

/// Each sample prompt continued: greedy, with a repetition penalty.
std::vector<Sample> samples_of(const Runnable& variant, const Material& material);

}  // namespace plimsoll::study
