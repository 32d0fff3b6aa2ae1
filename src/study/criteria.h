// What counts for each kind of work that a variant is recommended for.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "study/results.h"

namespace plimsoll::study {

/// Variants that are measured and compared with each other.
using Candidates = std::vector<const VariantResult*>;

/// A kind of work and what counts for it.
struct Criterion {
  std::string name, title, metric;
  bool more_is_better = true;
  bool memory_first = false;
  std::function<std::optional<Estimate>(const VariantResult&)> figure;
  /// How much better `a` is than `b`: above 1 is better.
  std::function<Versus(const VariantResult& a, const VariantResult& b)> better;
  std::function<std::string(double)> shown;
  /// What to say beside the figure; may be empty.
  std::function<std::string(const VariantResult&)> besides;
  /// Whether `a` is to be taken where `better` cannot tell the two apart, and for what.
  std::function<bool(const VariantResult& a, const VariantResult& b)> preferred;
  std::string preferred_for;
  /// What makes `better` call a difference none though its interval leaves out 1; may be empty.
  std::string overruled_by;
  std::vector<std::string> would_change;
};

/// Bytes of weights, keys and values and workspace.
double memory_of(const VariantResult& variant);
std::string memory_text(double bytes);

/// chat, batch, edge and realtime. From sweeps only those points count that all candidates have.
/// The functions hold on to `results`.
std::vector<Criterion> criteria(const Results& results, const Candidates& candidates);

}  // namespace plimsoll::study
