#include "core/rng.h"

#include <cmath>
#include <numbers>

#include "core/error.h"
#include "core/split_mix.h"

namespace plimsoll {

Rng::Rng(std::uint64_t seed, std::uint64_t stream) : state_(split_mix::beginning(seed, stream)) {}

std::uint64_t Rng::next() {
  state_ += split_mix::kStep;
  return split_mix::mix(state_);
}

double Rng::uniform() {
  return static_cast<double>(next() >> 11) * 0x1p-53;
}

std::uint64_t Rng::below(std::uint64_t bound) {
  PLIMSOLL_CHECK(bound > 0);
  const std::uint64_t threshold = -bound % bound;
  for (;;) {
    const std::uint64_t value = next();
    if (value >= threshold) return value % bound;
  }
}

double Rng::normal() {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
  return radius * std::cos(2.0 * std::numbers::pi * uniform());
}

}  // namespace plimsoll
