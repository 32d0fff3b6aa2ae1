#include "core/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace plimsoll {
namespace {

// Every 16-bit pattern survives the way to float and back: the conversions are exact inverses.
TEST(Half, EveryFiniteFp16RoundTrips) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const fp16 half{static_cast<std::uint16_t>(bits)};
    const float value = to_float(half);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(to_float(to_fp16(value))));
    } else {
      ASSERT_EQ(to_fp16(value).bits, half.bits) << bits;
    }
  }
}

#ifdef __FLT16_MANT_DIG__  // clang 14 has no _Float16 on x86

TEST(Half, Fp16WidensLikeTheCompiler) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const fp16 half{static_cast<std::uint16_t>(bits)};
    const float value = to_float(half);
    if (std::isnan(value)) continue;
    ASSERT_EQ(value, static_cast<float>(std::bit_cast<_Float16>(half))) << bits;
  }
}

TEST(Half, Fp16RoundsToNearestEvenLikeTheCompiler) {
  for (std::uint32_t i = 0; i < 2'000'000; ++i) {
    const float value = std::bit_cast<float>(i * 2147u);
    if (std::isnan(value)) continue;
    ASSERT_EQ(to_fp16(value).bits, std::bit_cast<std::uint16_t>(static_cast<_Float16>(value)))
        << value;
  }
}

#endif

TEST(Half, Bf16RoundsToNearestEven) {
  EXPECT_EQ(to_bf16(1.0f).bits, 0x3f80);
  EXPECT_EQ(to_bf16(std::bit_cast<float>(0x3f808000u)).bits, 0x3f80);  // tie to even
  EXPECT_EQ(to_bf16(std::bit_cast<float>(0x3f818000u)).bits, 0x3f82);
  EXPECT_EQ(to_bf16(std::bit_cast<float>(0x3f808001u)).bits, 0x3f81);
  EXPECT_EQ(to_bf16(std::numeric_limits<float>::max()).bits, 0x7f80);
  EXPECT_TRUE(std::isnan(to_float(to_bf16(std::bit_cast<float>(0x7f800001u)))));
}

TEST(Half, EveryE4m3RoundTripsAndSaturates) {
  for (std::uint32_t bits = 0; bits < 0x100; ++bits) {
    const fp8_e4m3 value{static_cast<std::uint8_t>(bits)};
    if (std::isnan(to_float(value))) continue;
    EXPECT_EQ(to_fp8_e4m3(to_float(value)).bits, value.bits) << bits;
  }
  EXPECT_EQ(to_float(to_fp8_e4m3(1e9f)), 448.0f);
  EXPECT_EQ(to_float(to_fp8_e4m3(-460.0f)), -448.0f);
  EXPECT_EQ(to_float(to_fp8_e4m3(17.0f)), 16.0f);  // halfway between 16 and 18: to even
  EXPECT_EQ(to_float(to_fp8_e4m3(19.0f)), 20.0f);
}

}  // namespace
}  // namespace plimsoll
