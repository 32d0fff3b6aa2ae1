// How varied a generated text is: a first look at fluency, for a person to go on from.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace plimsoll {

/// Distinct n-grams of `ids` over all n-grams of `ids`: 1 when none occurs twice. Li et al., A
/// Diversity-Promoting Objective Function for Neural Conversation Models, 2016 (arXiv:1510.03055),
/// but for the denominator: they divide by the number of words, which for n > 1 keeps 1 out of
/// reach. None where there is no n-gram. `n` >= 1.
std::optional<double> distinct_n(std::span<const std::int32_t> ids, std::size_t n);

/// Of token ids, not of words: variants of one model share its tokenizer, and no text is lost in
/// cutting it into words. Compare only texts of about the same length: the longer, the lower
/// distinct-n, whatever the model.
struct Fluency {
  std::optional<double> distinct_1, distinct_2;
  /// Share of 4-grams that have occurred before, 1 - distinct-4: seq-rep-4 of Welleck et al.,
  /// Neural Text Generation with Unlikelihood Training, 2020 (arXiv:1908.04319). 0: no loop at all.
  std::optional<double> repetition;
};

/// Of the tokens that were generated, without the prompt.
Fluency fluency(std::span<const std::int32_t> generated);

}  // namespace plimsoll
