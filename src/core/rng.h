// A small, seeded, portable random generator: the same numbers on every machine and compiler
// (std::normal_distribution does not promise that).
#pragma once

#include <cstdint>

namespace plimsoll {

/// SplitMix64 (Steele et al., OOPSLA 2014): 64-bit state, jumps by construction, good for seeding
/// streams: Rng(seed, stream) are independent for different streams.
class Rng {
 public:
  explicit Rng(std::uint64_t seed, std::uint64_t stream = 0);

  std::uint64_t next();
  /// Uniform in [0, 1) with 53 bits.
  double uniform();
  /// Uniform in [0, bound), without bias; bound > 0.
  std::uint64_t below(std::uint64_t bound);
  /// Standard normal (Box-Muller).
  double normal();

 private:
  std::uint64_t state_;
};

}  // namespace plimsoll
