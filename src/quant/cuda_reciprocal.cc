#include "quant/cuda_reciprocal.h"

#include <array>
#include <bit>
#include <cstdint>

namespace plimsoll::quant {

namespace {

// One bit for each of the 1024 fractions with ten bits (f16 has ten, bf16 seven of them; the
// exponent does not matter): where the instruction's result lies one unit above, or below, the
// nearest float. Read off an H200 over all 2^23 fractions and 14 exponents.
using FractionSet = std::array<std::uint64_t, 16>;
constexpr FractionSet kAbove = {
    0x0001000000160800, 0x0002030608000000, 0x0000000002180400, 0x1000000600021800,
    0x0003050000000010, 0x0008000004000000, 0x0080020203081804, 0x0a04010200080462,
    0x0018000880090380, 0x0008000000000000, 0x3000801808000d80, 0x0000000001100000,
    0x008020a0002e0000, 0x2000550000000000, 0x0001000109000000, 0x0000002018000100,
};
constexpr FractionSet kBelow = {
    0x4000400100004040, 0xc000000001c02040, 0x0009000100000080, 0x0000000028400000,
    0x0000000080040000, 0x0000000020000020, 0x2800000080020000, 0x0000000006000000,
    0x0000400000000000, 0x0000004000000000, 0x0000000000000000, 0x0000800000000000,
    0x0000000000008000, 0x0000000000000000, 0x3440000000000000, 0x0104000000000020,
};

std::uint32_t contains(const FractionSet& set, std::uint32_t fraction) {
  return static_cast<std::uint32_t>(set[fraction / 64] >> (fraction % 64) & 1);
}

}  // namespace

float cuda_reciprocal(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const float nearest = 1.0f / x;
  if ((bits & 0x1fffu) != 0) return nearest;
  const std::uint32_t fraction = bits >> 13 & 0x3ffu;
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(nearest) + contains(kAbove, fraction) -
                              contains(kBelow, fraction));
}

}  // namespace plimsoll::quant
