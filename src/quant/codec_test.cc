// What every format promises: decode(encode(w)) within the format's own bound, the same bytes for
// any number of threads, and refusals that name the tensor and the rule.
#include "quant/codec.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/rng.h"
#include "core/threads.h"
#include "quant/block4.h"
#include "quant/fp8.h"
#include "quant/gptq.h"
#include "support/support.h"

namespace plimsoll::quant {
namespace {

std::vector<WeightFormat> round_to_nearest_formats() {
  std::vector<WeightFormat> formats;
  for (const WeightFormat format : all_formats()) {
    if (format != WeightFormat::gptq) formats.push_back(format);
  }
  return formats;
}

std::string test_name(const testing::TestParamInfo<WeightFormat>& info) {
  std::string name(format_name(info.param));
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

Tensor normal_weights(std::int64_t rows, std::int64_t columns, std::uint64_t seed) {
  Rng rng(seed);
  Tensor weights = Tensor::empty(DType::f32, {rows, columns});
  for (float& value : weights.span<float>()) value = static_cast<float>(0.02 * rng.normal());
  return weights;
}

// Largest magnitude of elements [first, last).
float largest(const Tensor& weights, std::int64_t first, std::int64_t last) {
  float absmax = 0;
  for (std::int64_t i = first; i < last; ++i) {
    absmax = std::max(absmax, std::fabs(weights.data<float>()[i]));
  }
  return absmax;
}

float widest_gap(WeightFormat format) {
  std::vector<float> levels(block4_levels(format).begin(), block4_levels(format).end());
  std::sort(levels.begin(), levels.end());
  float gap = 0;
  for (std::size_t i = 1; i < levels.size(); ++i) gap = std::max(gap, levels[i] - levels[i - 1]);
  return gap;
}

// The most by which element i may come back wrong.
double bound(WeightFormat format, const Tensor& weights, std::int64_t i) {
  const std::int64_t columns = weights.dim(1);
  const double value = std::fabs(weights.data<float>()[i]);
  const std::int64_t row = i / columns;
  const double row_absmax = largest(weights, row * columns, (row + 1) * columns);
  const std::int64_t block = i / kBlock4;
  const double block_absmax =
      largest(weights, block * kBlock4, std::min((block + 1) * kBlock4, weights.size()));
  // bitsandbytes' formats round to f16 first: half a unit, or half the least subnormal.
  const double source = std::max(value * 0x1p-11, 0x1p-25);
  constexpr double kFloat = 1e-6;  // a few roundings of f32, relative to the scale
  switch (format) {
    case WeightFormat::fp32:
      return 0;
    case WeightFormat::fp16:
      return source;
    case WeightFormat::bf16:
      return value * 0x1p-8;
    case WeightFormat::int8:
    case WeightFormat::int8_dynamic:
    case WeightFormat::int8_static:
      return source + row_absmax * (0.5 / 127 + 0x1p-11 + kFloat);
    case WeightFormat::fp8:
      return std::max(value / 16, row_absmax / kFp8Max / 1024) * (1 + kFloat);
    case WeightFormat::nf4:
    case WeightFormat::fp4:
      return source + block_absmax * (widest_gap(format) / 2 + 0x1p-11 + kFloat) + 0x1p-25;
    case WeightFormat::nf4_dq:
    case WeightFormat::fp4_dq: {
      // A scale is off by half the widest step of the dynamic map, 0.9 / 64, times the nested
      // absmax, which is at most the largest scale.
      const double scale_error = 0.9 / 128 * largest(weights, 0, weights.size());
      return source + block_absmax * (widest_gap(format) / 2 + 0x1p-11) + scale_error * 1.01 +
             0x1p-25;
    }
    case WeightFormat::log4:
      return std::max(value / 3, block_absmax / 128) * (1 + kFloat);
    case WeightFormat::int4: {
      const std::int64_t first = row * columns + i % columns / 64 * 64;
      const float* group = weights.data<float>() + first;
      const auto [low, high] = std::minmax_element(
          group, group + std::min<std::int64_t>(64, columns - i % columns / 64 * 64));
      const double range = std::max(*high, 0.0f) - std::min(*low, 0.0f);
      // Half a step; a group without (nearly) any negative value has 14 steps, not 15. Rounding the
      // step to f16 moves the ends of the range by 15 times its half unit.
      return range / 14 / 2 + range * 0x1p-11 + 15 * 0x1p-25 + range * kFloat;
    }
    case WeightFormat::gptq:
      break;
  }
  ADD_FAILURE();
  return 0;
}

void expect_within_bound(WeightFormat format, const Tensor& weights, const std::string& what) {
  const Matrix matrix = encode(format, weights, {}, what);
  EXPECT_NO_THROW(format == WeightFormat::int8_static ? void() : check_matrix(matrix, what));
  const Tensor decoded = decode(matrix);
  for (std::int64_t i = 0; i < weights.size(); ++i) {
    const double error = std::fabs(static_cast<double>(decoded.data<float>()[i]) -
                                   static_cast<double>(weights.data<float>()[i]));
    ASSERT_LE(error, bound(format, weights, i))
        << what << ", element " << i << ": " << weights.data<float>()[i] << " came back as "
        << decoded.data<float>()[i];
  }
}

class EveryFormat : public testing::TestWithParam<WeightFormat> {};
INSTANTIATE_TEST_SUITE_P(Formats, EveryFormat, testing::ValuesIn(round_to_nearest_formats()),
                         test_name);

TEST_P(EveryFormat, ComesBackWithinItsBound) {
  expect_within_bound(GetParam(), normal_weights(24, 200, 1), "normal");  // rows share blocks
  expect_within_bound(GetParam(), normal_weights(8, 8, 2), "one short block");

  Tensor outliers = normal_weights(16, 128, 3);
  Rng rng(4);
  for (int i = 0; i < 20; ++i) outliers.span<float>()[rng.below(16 * 128)] *= 100;
  expect_within_bound(GetParam(), outliers, "outliers");

  Tensor positive = normal_weights(16, 128, 5);
  for (float& value : positive.span<float>()) value = std::fabs(value);
  expect_within_bound(GetParam(), positive, "positive");

  Tensor subnormal = normal_weights(16, 128, 6);  // of f16
  for (float& value : subnormal.span<float>()) value *= 0x1p-12f;
  expect_within_bound(GetParam(), subnormal, "subnormal in f16");

  Tensor tiny = normal_weights(16, 128, 7);  // subnormal in f32
  for (float& value : tiny.span<float>()) value *= 0x1p-125f;
  if (GetParam() != WeightFormat::bf16 && GetParam() != WeightFormat::fp8 &&
      GetParam() != WeightFormat::log4) {  // whose bounds are relative
    expect_within_bound(GetParam(), tiny, "subnormal in f32");
  }

  Tensor huge = normal_weights(16, 128, 8);
  for (float& value : huge.span<float>()) value = std::clamp(value * 2e6f, -65504.0f, 65504.0f);
  expect_within_bound(GetParam(), huge, "to the end of f16");
}

TEST_P(EveryFormat, ZerosComeBackAsZeros) {
  Tensor weights = normal_weights(16, 128, 9);
  std::fill_n(weights.data<float>() + 3 * 128, 2 * 128, 0.0f);
  const Tensor decoded = decode(encode(GetParam(), weights, {}, "zeros"));
  const bool nf4_dq = GetParam() == WeightFormat::nf4_dq;
  for (std::int64_t i = 3 * 128; i < 5 * 128; ++i) {
    // bitsandbytes' nf4-dq gives a block of zeros -1 times what is left of its scale: the error of
    // 8 bits of a scale. The rest is exact.
    const float error = std::fabs(decoded.data<float>()[i]);
    if (nf4_dq) {
      ASSERT_LE(error, 0.9 / 128 * largest(weights, 0, weights.size()));
    } else {
      ASSERT_EQ(error, 0) << i;
    }
  }
}

TEST_P(EveryFormat, EncodesTheSameForAnyNumberOfThreads) {
  const Tensor weights = normal_weights(72, 4096, 10);
  const int team = threads();
  set_threads(1);
  const Matrix alone = encode(GetParam(), weights, {}, "alone");
  const Tensor decoded_alone = decode(alone);
  set_threads(3);
  const Matrix together = encode(GetParam(), weights, {}, "together");
  const Tensor decoded_together = decode(together);
  set_threads(team);
  const auto expect_same = [](const Tensor& a, const Tensor& b) {
    ASSERT_EQ(a.defined(), b.defined());
    if (!a.defined()) return;
    ASSERT_EQ(a.shape(), b.shape());
    EXPECT_EQ(std::memcmp(a.raw(), b.raw(), a.bytes()), 0);
  };
  expect_same(alone.codes, together.codes);
  expect_same(alone.scales, together.scales);
  expect_same(alone.zeros, together.zeros);
  expect_same(alone.nested_scales, together.nested_scales);
  EXPECT_EQ(alone.nested_offset, together.nested_offset);
  expect_same(decoded_alone, decoded_together);
}

TEST_P(EveryFormat, HalfPrecisionWeightsGiveWhatTheirFloatsGive) {
  const Tensor half = converted(normal_weights(8, 64, 11), DType::f16);
  const Matrix from_half = encode(GetParam(), half, {}, "half");
  const Matrix from_float = encode(GetParam(), converted(half, DType::f32), {}, "float");
  EXPECT_EQ(std::memcmp(from_half.codes.raw(), from_float.codes.raw(), from_half.codes.bytes()), 0);
}

TEST_P(EveryFormat, SomeRowsDecodeAsInTheWhole) {
  const Tensor weights = normal_weights(16, 40, 12);  // blocks begin in the middle of rows
  const Matrix matrix = encode(GetParam(), weights, {}, "rows");
  const Tensor whole = decode(matrix);
  std::vector<float> some(5 * 40);
  decode_rows(matrix, 7, 12, some.data());
  EXPECT_TRUE(std::equal(some.begin(), some.end(), whole.data<float>() + 7 * 40));
}

TEST_P(EveryFormat, RefusesWhatIsNotFinite) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    Tensor weights = normal_weights(8, 64, 13);
    weights.span<float>()[64 + 7] = bad;
    const std::string message = test::message_of<InputError>(
        [&] { encode(GetParam(), weights, {}, "layers.3.q_proj.weight"); });
    EXPECT_EQ(message, fmt::format("layers.3.q_proj.weight: element [1, 7]: found {}, "
                                   "expected a finite value",
                                   bad));
  }
}

TEST(Encode, RefusesWhatTheFormatCannotHold) {
  Tensor weights = normal_weights(8, 64, 14);
  weights.span<float>()[0] = 70000;
  EXPECT_EQ(test::message_of<InputError>([&] { encode(WeightFormat::nf4, weights, {}, "w"); }),
            "w: element [0, 0]: found 70000, expected a value that F16 can hold");
  EXPECT_NO_THROW(encode(WeightFormat::nf4, weights, {.source_dtype = DType::bf16}, "w"));
  weights.span<float>()[0] = 1e30f;
  EXPECT_NE(test::message_of<InputError>([&] {
              encode(WeightFormat::int4, weights, {}, "w");
            }).find("65504"),
            std::string::npos);

  const auto refusal = [](WeightFormat format, std::int64_t rows, std::int64_t columns,
                          const EncodeOptions& options = {}) {
    return test::message_of<InputError>(
        [&] { encode(format, normal_weights(rows, columns, 15), options, "w"); });
  };
  EXPECT_EQ(refusal(WeightFormat::nf4, 3, 5),
            "w: nf4: two codes share a byte, so 3 x 5 elements must be an even number");
  EXPECT_EQ(
      refusal(WeightFormat::int4, 8, 12),
      "w: int4: eight codes share a word, so rows and columns must be multiples of 8, not 8 x 12");
  EXPECT_EQ(refusal(WeightFormat::int4, 8, 64, {.group = 100}),
            "w: int4: the group must be 32, 64 or 128, not 100");
  EXPECT_FALSE(can_hold(WeightFormat::int8, 1, (1 << 17) + 1));
  EXPECT_FALSE(can_hold(WeightFormat::fp32, 0, 4));
  EXPECT_TRUE(can_hold(WeightFormat::fp4_dq, 3, 6));
  EXPECT_THROW(encode(WeightFormat::gptq, normal_weights(8, 8, 16), {}, "w"), InternalError);
  EXPECT_THROW(encode(WeightFormat::fp32, Tensor::zeros(DType::i32, {2, 2}), {}, "w"), InputError);
  EXPECT_THROW(encode(WeightFormat::fp32, Tensor::zeros(DType::f32, {4}), {}, "w"), InputError);
}

TEST(Encode, SingleElements) {
  for (const WeightFormat format : {WeightFormat::int8, WeightFormat::fp8, WeightFormat::fp16}) {
    const float value = -0.375f;
    const Matrix matrix = encode(format, Tensor::from<float>({&value, 1}, {1, 1}), {}, "w");
    // int8's -127 times 0.375, divided by 127, is off by a rounding.
    EXPECT_FLOAT_EQ(decode(matrix).data<float>()[0], value) << format_name(format);
  }
}

TEST(Block4, Log4TakesTheNearestPowerOfTwo) {
  Tensor weights = Tensor::zeros(DType::f32, {1, 8});
  const float values[8] = {1.0f, -0.76f, 0.74f, -0.2f, 0.19f, 0.0118f, 0.0077f, -0.0001f};
  std::copy_n(values, 8, weights.data<float>());
  const Tensor decoded = decode(encode(WeightFormat::log4, weights, {}, "w"));
  const float expected[8] = {1.0f, -1.0f, 0.5f, -0.25f, 0.25f, 0x1p-6f, 0.0f, -0.0f};
  for (int i = 0; i < 8; ++i) EXPECT_EQ(decoded.data<float>()[i], expected[i]) << i;
}

TEST(Block4, ScalesAreThoseThatDecodingUses) {
  const Tensor weights = normal_weights(16, 100, 17);
  for (const WeightFormat format : {WeightFormat::nf4, WeightFormat::fp4_dq}) {
    const Matrix matrix = encode(format, weights, {}, "w");
    const std::vector<float> scales = block4_scales(matrix);
    ASSERT_EQ(scales.size(), 25u);
    const Tensor decoded = decode(matrix);
    for (std::int64_t i = 0; i < 1600; ++i) {
      const int code = block4_code(matrix.codes.data<std::uint8_t>(), i);
      EXPECT_EQ(decoded.data<float>()[i], block4_levels(format)[code] * scales[i / 64]);
    }
  }
}

}  // namespace
}  // namespace plimsoll::quant
