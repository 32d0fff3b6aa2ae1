#include "kernels/widen/widen.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace plimsoll::kernels {
namespace {

template <class T>
void expect_every_pattern_widens() {
  std::vector<T> source;
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    source.push_back(T{static_cast<std::uint16_t>(bits)});
  }
  source.pop_back();  // an odd count: the last few go another way
  std::vector<float> target(source.size(), -1.0f);
  widen(source.data(), DTypeOf<T>::kValue, static_cast<std::int64_t>(source.size()), target.data());
  for (std::size_t i = 0; i < source.size(); ++i) {
    const float expected = to_float(source[i]);
    ASSERT_TRUE(target[i] == expected || (std::isnan(expected) && std::isnan(target[i]))) << i;
  }
}

TEST(Widen, EveryFp16) {
  expect_every_pattern_widens<fp16>();
}
TEST(Widen, EveryBf16) {
  expect_every_pattern_widens<bf16>();
}

}  // namespace
}  // namespace plimsoll::kernels
