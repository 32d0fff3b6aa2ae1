#include "quant/rounding.h"

#include <cmath>
#include <cstring>

#include "quant/cuda_reciprocal.h"
#include "quant/dynamic_map.h"
#include "support/support.h"

namespace plimsoll::quant {
namespace {

TEST(RoundToF16, IsTheConversionForEveryHalfAndBetweenThem) {
  for (std::uint32_t bits = 0; bits < 0x7c00u; ++bits) {
    const float value = to_float(fp16{static_cast<std::uint16_t>(bits)});
    const float above =
        bits == 0x7bffu ? 65536.0f : to_float(fp16{static_cast<std::uint16_t>(bits + 1)});
    const float middle = value + (above - value) / 2;
    for (const float x :
         {value, middle, std::nextafter(middle, 0.0f), std::nextafter(middle, INFINITY)}) {
      for (const float signed_x : {x, -x}) {
        const float expected = to_float(to_fp16(signed_x));
        ASSERT_EQ(std::bit_cast<std::uint32_t>(round_to_f16(signed_x)),
                  std::bit_cast<std::uint32_t>(expected))
            << signed_x;
      }
    }
  }
  EXPECT_EQ(round_to_f16(1e30f), INFINITY);
}

TEST(RoundEven, TiesGoToEven) {
  for (const float x : {0.0f, 0.5f, 1.5f, -2.5f, 126.5f, -0.49999997f, 8388.75f, -4194303.5f}) {
    EXPECT_EQ(round_even(x), std::nearbyint(x)) << x;
  }
}

TEST(CudaReciprocal, IsWithinAUnitAndOffWhereTheHardwareIs) {
  int below = 0;
  int above = 0;
  for (std::uint32_t fraction = 0; fraction < 1024; ++fraction) {
    for (const std::uint32_t exponent : {60u, 127u, 142u}) {
      const auto x = std::bit_cast<float>(exponent << 23 | fraction << 13);
      const auto off = static_cast<std::int32_t>(std::bit_cast<std::uint32_t>(cuda_reciprocal(x)) -
                                                 std::bit_cast<std::uint32_t>(1.0f / x));
      ASSERT_LE(std::abs(off), 1) << x;
      if (exponent == 127) (off < 0 ? below : above) += off != 0 ? 1 : 0;
    }
  }
  // As counted on the device.
  EXPECT_EQ(below, 40);
  EXPECT_EQ(above, 90);
  EXPECT_EQ(cuda_reciprocal(0.25f), 4);
  EXPECT_EQ(cuda_reciprocal(0.1f), 10);
}

TEST(DynamicCode, IsTheNearestAndTiesGoToTheEvenCode) {
  const std::span<const float> map = dynamic_map();
  ASSERT_EQ(map.size(), 256u);
  for (std::size_t i = 0; i + 1 < map.size(); ++i) {
    ASSERT_LT(map[i], map[i + 1]);
    EXPECT_EQ(dynamic_code(map[i]), i);
    const float middle = (map[i] + map[i + 1]) * 0.5f;
    EXPECT_EQ(dynamic_code(middle), i % 2 == 0 ? i : i + 1);
    EXPECT_EQ(dynamic_code(std::nextafter(middle, -2.0f)), i);
    EXPECT_EQ(dynamic_code(std::nextafter(middle, 2.0f)), i + 1);
  }
  EXPECT_EQ(dynamic_code(1.0f), 255);
  EXPECT_EQ(dynamic_code(1.0000001f), 255);
  EXPECT_EQ(dynamic_code(-1.0f), 0);
  EXPECT_EQ(dynamic_code(NAN), 0);
}

}  // namespace
}  // namespace plimsoll::quant
