#include "quant/dynamic_map.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace plimsoll::quant {

namespace {

// Seven decades below 1: the lowest, [1e-7, 1e-6], has one linear fraction, the next two, ... the
// highest 64; each value is the middle of its fraction. All in f32 and in this order of operations:
// the values must have bitsandbytes' bits.
std::array<float, 256> make_map() {
  constexpr int kDecades = 7;
  constexpr std::array<double, kDecades> kDecade = {1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0};
  std::array<float, 256> map{};
  std::size_t filled = 0;
  for (int decade = 0; decade < kDecades; ++decade) {
    const int fractions = 1 << decade;
    const float step = (1.0f - 0.1f) / static_cast<float>(fractions);
    // Boundaries count from the nearer end with a fused multiply-add, as torch.linspace does.
    const auto boundary = [&](int i) {
      return i < (fractions + 1) / 2 ? std::fma(step, static_cast<float>(i), 0.1f)
                                     : std::fma(-step, static_cast<float>(fractions - i), 1.0f);
    };
    for (int i = 0; i < fractions; ++i) {
      const float middle = (boundary(i) + boundary(i + 1)) / 2.0f;
      const float value = static_cast<float>(kDecade[static_cast<std::size_t>(decade)]) * middle;
      map[filled++] = value;
      map[filled++] = -value;
    }
  }
  map[filled++] = 0.0f;
  map[filled++] = 1.0f;
  std::sort(map.begin(), map.end());
  return map;
}

const std::array<float, 256>& shared_map() {
  static const std::array<float, 256> map = make_map();
  return map;
}

}  // namespace

std::span<const float> dynamic_map() {
  return shared_map();
}

std::uint8_t dynamic_code(float x) {
  const std::array<float, 256>& map = shared_map();
  if (!(x > map[0])) return 0;
  auto upper =
      static_cast<unsigned>(std::lower_bound(map.begin() + 1, map.end() - 1, x) - map.begin());
  const unsigned lower = upper - 1;
  const float midpoint = (map[upper] + map[lower]) * 0.5f;
  if (x != midpoint) return static_cast<std::uint8_t>(x > midpoint ? upper : lower);
  // bitsandbytes' search ends on an even code and leaves it only for a strictly nearer neighbour.
  return static_cast<std::uint8_t>(upper % 2 == 0 ? upper : lower);
}

}  // namespace plimsoll::quant
