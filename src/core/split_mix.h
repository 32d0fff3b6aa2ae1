// SplitMix64 (Steele et al., OOPSLA 2014) as functions of a state, for the host and for a GPU. nvcc
// reads this header.
#pragma once

#include <cstdint>

#ifdef __CUDACC__
#define PLIMSOLL_SPLIT_MIX __host__ __device__
#else
#define PLIMSOLL_SPLIT_MIX
#endif

namespace plimsoll::split_mix {

/// What the state moves on by with each number.
inline constexpr std::uint64_t kStep = 0x9e3779b97f4a7c15ULL;

PLIMSOLL_SPLIT_MIX constexpr std::uint64_t mix(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

/// The state that a stream begins with; its n-th number, from 1, is mix(state + n * kStep).
PLIMSOLL_SPLIT_MIX constexpr std::uint64_t beginning(std::uint64_t seed, std::uint64_t stream) {
  return mix(seed) ^ mix(~stream * kStep);
}

}  // namespace plimsoll::split_mix

#undef PLIMSOLL_SPLIT_MIX
