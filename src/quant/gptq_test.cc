#include "quant/gptq.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <vector>

#include "core/rng.h"
#include "core/threads.h"
#include "quant/codec.h"
#include "quant/int4.h"
#include "support/support.h"

namespace plimsoll::quant {
namespace {

Tensor normal_weights(std::int64_t rows, std::int64_t columns, std::uint64_t seed) {
  Rng rng(seed);
  Tensor weights = Tensor::empty(DType::f32, {rows, columns});
  for (float& value : weights.span<float>()) value = static_cast<float>(0.02 * rng.normal());
  return weights;
}

// Activations that depend on each other, as a model's do: a few hidden directions and noise,
// columns of different size.
std::vector<float> activations(std::int64_t rows, std::int64_t columns, std::uint64_t seed) {
  constexpr std::int64_t kDirections = 8;
  Rng rng(seed);
  std::vector<double> directions(static_cast<std::size_t>(kDirections * columns));
  for (double& value : directions) value = rng.normal();
  std::vector<float> x(static_cast<std::size_t>(rows * columns));
  for (std::int64_t r = 0; r < rows; ++r) {
    double strength[kDirections];
    for (double& value : strength) value = rng.normal();
    for (std::int64_t c = 0; c < columns; ++c) {
      double value = 0.3 * rng.normal();
      for (std::int64_t d = 0; d < kDirections; ++d)
        value += strength[d] * directions[d * columns + c];
      x[r * columns + c] = static_cast<float>(value * (1 + static_cast<double>(c % 11)));
    }
  }
  return x;
}

HessianAccumulator hessian_of(const std::vector<float>& x, std::int64_t columns) {
  HessianAccumulator hessian(columns);
  hessian.add(x.data(), static_cast<std::int64_t>(x.size()) / columns);
  return hessian;
}

Matrix round_to_nearest(const Tensor& weights, int group) {
  return encode(WeightFormat::int4, weights, {.group = group, .symmetric = true}, "w");
}

TEST(Hessian, IsTwiceTheMeanOfOuterProducts) {
  const std::int64_t columns = 70;  // more than one strip
  const std::vector<float> x = activations(33, columns, 1);
  HessianAccumulator hessian(columns);
  EXPECT_EQ(hessian.at(0, 0), 0);
  hessian.add(x.data(), 20);
  hessian.add(x.data() + 20 * columns, 13);
  EXPECT_EQ(hessian.rows(), 33);
  for (std::int64_t i = 0; i < columns; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) {
      double sum = 0;
      double size = 0;
      for (std::int64_t r = 0; r < 33; ++r) {
        const double product = static_cast<double>(x[r * columns + i]) * x[r * columns + j];
        sum += product;
        size += std::fabs(product);
      }
      // 33 roundings of f32 at most, of the sum of magnitudes.
      ASSERT_NEAR(hessian.at(i, j), 2 * sum / 33, 2 * size / 33 * 33 * 0x1p-24);
    }
  }
}

TEST(Hessian, RefusesActivationsThatAreNotFinite) {
  HessianAccumulator hessian(8);
  std::vector<float> x(16, 1.0f);
  x[11] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(test::message_of<InputError>([&] { hessian.add(x.data(), 2); }),
            "calibration: input of a layer, column 3: found inf, expected finite activations");
  EXPECT_EQ(hessian.rows(), 0);
}

TEST(Gptq, OutputErrorIsThatOfTheOutputs) {
  const std::vector<float> x = activations(50, 64, 2);
  const Tensor weights = normal_weights(8, 64, 3);
  const Matrix matrix = round_to_nearest(weights, 32);
  const Tensor decoded = decode(matrix);
  double expected = 0;
  for (std::int64_t r = 0; r < 50; ++r) {
    for (std::int64_t out = 0; out < 8; ++out) {
      double difference = 0;
      for (std::int64_t c = 0; c < 64; ++c) {
        difference += static_cast<double>(x[r * 64 + c]) *
                      (weights.data<float>()[out * 64 + c] - decoded.data<float>()[out * 64 + c]);
      }
      expected += 2.0 / 50 * difference * difference;
    }
  }
  EXPECT_NEAR(output_error(weights, matrix, hessian_of(x, 64)), expected, 1e-4 * expected);
}

// The algorithm as the paper's listing has it, without blocks, lazy updates or tricks: the inverse
// of the Hessian is updated by Gaussian elimination after each column. All in f64.
std::vector<int> plain_gptq(const Tensor& weights, const HessianAccumulator& hessian, int group,
                            double damping, std::int64_t row) {
  const std::int64_t n = hessian.columns();
  double mean = 0;
  for (std::int64_t i = 0; i < n; ++i) mean += hessian.at(i, i) / static_cast<double>(n);
  // Gauss-Jordan inverse of the damped Hessian.
  std::vector<double> a(static_cast<std::size_t>(n * n));
  std::vector<double> inverse(a.size(), 0.0);
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < n; ++j)
      a[i * n + j] = hessian.at(i, j) + (i == j) * damping * mean;
    inverse[i * n + i] = 1;
  }
  for (std::int64_t p = 0; p < n; ++p) {
    const double pivot = a[p * n + p];
    for (std::int64_t j = 0; j < n; ++j) {
      a[p * n + j] /= pivot;
      inverse[p * n + j] /= pivot;
    }
    for (std::int64_t i = 0; i < n; ++i) {
      const double factor = i == p ? 0 : a[i * n + p];
      for (std::int64_t j = 0; j < n; ++j) {
        a[i * n + j] -= factor * a[p * n + j];
        inverse[i * n + j] -= factor * inverse[p * n + j];
      }
    }
  }
  std::vector<float> values(weights.data<float>() + row * n, weights.data<float>() + (row + 1) * n);
  std::vector<int> codes;
  GroupGrid grid;
  for (std::int64_t q = 0; q < n; ++q) {
    if (q % group == 0) grid = group_grid(values.data() + q, group, true, "w");
    codes.push_back(grid.code(values[q]));
    const double error = (values[q] - grid.value(codes.back())) / inverse[q * n + q];
    for (std::int64_t j = q; j < n; ++j) {
      values[j] = static_cast<float>(values[j] - error * inverse[q * n + j]);
    }
    for (std::int64_t i = q + 1; i < n; ++i) {
      const double factor = inverse[i * n + q] / inverse[q * n + q];
      for (std::int64_t j = q; j < n; ++j) inverse[i * n + j] -= factor * inverse[q * n + j];
    }
  }
  return codes;
}

TEST(Gptq, ChoosesTheCodesOfThePlainAlgorithm) {
#ifdef PLIMSOLL_SLOW_BUILD
  constexpr std::int64_t kPlainRows = 2;
#else
  constexpr std::int64_t kPlainRows = 8;
#endif
  const std::int64_t columns = 160;
  const Tensor weights = normal_weights(8, columns, 4);
  const HessianAccumulator hessian = hessian_of(activations(500, columns, 5), columns);
  // Blocks that divide the columns or not, that hold groups or parts of one.
  for (const auto& [group, block] :
       {std::pair{32, 128}, std::pair{32, 48}, std::pair{80, 16}, std::pair{160, 64}}) {
    const Matrix matrix = encode_gptq(weights, hessian, {.group = group, .block = block}, "w");
    int different = 0;
    for (std::int64_t row = 0; row < kPlainRows; ++row) {
      const std::vector<int> expected = plain_gptq(weights, hessian, group, 0.01, row);
      for (std::int64_t c = 0; c < columns; ++c) {
        different +=
            grouped_code(matrix.codes.data<std::int32_t>(), 8, row, c) != expected[c] ? 1 : 0;
      }
    }
    // None here; f32 against f64 might turn over a code at a near tie, and a few after it.
    EXPECT_LE(different, 4) << "group " << group << ", block " << block;
  }
}

TEST(Gptq, LosesLessThanRoundToNearest) {
  const std::int64_t columns = 256;
  const Tensor weights = normal_weights(72, columns, 6);
  const HessianAccumulator hessian = hessian_of(activations(600, columns, 7), columns);
  const double nearest = output_error(weights, round_to_nearest(weights, 128), hessian);
  for (const bool act_order : {false, true}) {
    for (const bool symmetric : {false, true}) {
      GptqReport report;
      const Matrix matrix = encode_gptq(
          weights, hessian, {.symmetric = symmetric, .act_order = act_order}, "w", &report);
      EXPECT_NO_THROW(check_matrix(matrix, "w"));
      EXPECT_LT(output_error(weights, matrix, hessian), 0.3 * nearest)
          << "act_order " << act_order << ", symmetric " << symmetric;
      EXPECT_EQ(report.damping, 0.01);
      EXPECT_EQ(report.dead_columns, 0);
      for (std::int64_t c = 0; c < columns; ++c) {
        ASSERT_EQ(matrix.group_index.data<std::int32_t>()[c], c / 128);
      }
    }
  }
}

TEST(Gptq, ActOrderIsTheOrderOfTheDiagonal) {
  // One group, whose grid no order changes: sorting the columns beforehand must give the same
  // codes.
  const std::int64_t columns = 96;
  const std::int64_t rows = 8;
  const std::vector<float> x = activations(300, columns, 19);
  const Tensor weights = normal_weights(rows, columns, 20);
  const HessianAccumulator hessian = hessian_of(x, columns);
  std::vector<std::int64_t> order(static_cast<std::size_t>(columns));
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](std::int64_t a, std::int64_t b) { return hessian.at(a, a) > hessian.at(b, b); });
  std::vector<float> sorted_x(x.size());
  Tensor sorted_weights = Tensor::empty(DType::f32, {rows, columns});
  for (std::int64_t c = 0; c < columns; ++c) {
    for (std::int64_t r = 0; r < 300; ++r) sorted_x[r * columns + c] = x[r * columns + order[c]];
    for (std::int64_t r = 0; r < rows; ++r) {
      sorted_weights.data<float>()[r * columns + c] = weights.data<float>()[r * columns + order[c]];
    }
  }
  const Matrix by_order = encode_gptq(weights, hessian, {.group = -1, .act_order = true}, "w");
  const Matrix sorted =
      encode_gptq(sorted_weights, hessian_of(sorted_x, columns), {.group = -1}, "w");
  EXPECT_EQ(by_order.block, columns);
  int out_of_order = 0;
  for (std::int64_t c = 0; c < columns; ++c) {
    out_of_order += order[c] != c ? 1 : 0;
    for (std::int64_t r = 0; r < rows; ++r) {
      ASSERT_EQ(grouped_code(by_order.codes.data<std::int32_t>(), rows, r, order[c]),
                grouped_code(sorted.codes.data<std::int32_t>(), rows, r, c));
    }
  }
  EXPECT_GT(out_of_order, columns / 2);
}

TEST(Gptq, WithoutCorrelationIsRoundToNearest) {
  // Each activation has one value that is not 0: the Hessian is diagonal, errors cannot be made up
  // for.
  const std::int64_t columns = 64;
  std::vector<float> x(static_cast<std::size_t>(columns * columns), 0.0f);
  for (std::int64_t c = 0; c < columns; ++c) x[c * columns + c] = static_cast<float>(c + 1);
  const Tensor weights = normal_weights(16, columns, 8);
  const Matrix nearest = round_to_nearest(weights, 32);
  for (const bool act_order : {false, true}) {
    const Matrix matrix =
        encode_gptq(weights, hessian_of(x, columns), {.group = 32, .act_order = act_order}, "w");
    EXPECT_EQ(std::memcmp(matrix.codes.raw(), nearest.codes.raw(), nearest.codes.bytes()), 0);
    EXPECT_EQ(std::memcmp(matrix.scales.raw(), nearest.scales.raw(), nearest.scales.bytes()), 0);
  }
}

TEST(Gptq, DeadColumnsAreRoundedToNearest) {
  const std::int64_t columns = 64;
  std::vector<float> x = activations(200, columns, 9);
  for (std::size_t i = 5; i < x.size(); i += 64) x[i] = 0;
  const Tensor weights = normal_weights(8, columns, 10);
  GptqReport report;
  const Matrix matrix =
      encode_gptq(weights, hessian_of(x, columns), {.group = 64, .act_order = true}, "w", &report);
  EXPECT_EQ(report.dead_columns, 1);
  const Tensor decoded = decode(matrix);
  const Tensor nearest = decode(round_to_nearest(weights, 64));
  for (std::int64_t row = 0; row < 8; ++row) {
    EXPECT_EQ(decoded.data<float>()[row * 64 + 5], nearest.data<float>()[row * 64 + 5]);
  }
}

TEST(Gptq, SingularHessianIsDampedMoreAndSaysSo) {
  const std::int64_t columns = 64;
  const std::vector<float> x = activations(3, columns, 11);  // rank 3
  const Tensor weights = normal_weights(8, columns, 12);
  GptqReport report;
  encode_gptq(weights, hessian_of(x, columns), {.group = 64, .damping = 0}, "w", &report);
  EXPECT_EQ(report.damping, 0.01);
}

TEST(Gptq, DoesNotDependOnTheThreads) {
  const std::int64_t columns = 200;
  const Tensor weights = normal_weights(200, columns, 13);
  const std::vector<float> x = activations(300, columns, 14);
  const int team = threads();
  set_threads(1);
  const Matrix alone = encode_gptq(weights, hessian_of(x, columns), {.group = 40}, "w");
  set_threads(3);
  const Matrix together = encode_gptq(weights, hessian_of(x, columns), {.group = 40}, "w");
  set_threads(team);
  EXPECT_EQ(std::memcmp(alone.codes.raw(), together.codes.raw(), alone.codes.bytes()), 0);
  EXPECT_EQ(std::memcmp(alone.scales.raw(), together.scales.raw(), alone.scales.bytes()), 0);
  EXPECT_EQ(std::memcmp(alone.zeros.raw(), together.zeros.raw(), alone.zeros.bytes()), 0);
}

TEST(Gptq, RefusesWhatItCannotDo) {
  const Tensor weights = normal_weights(8, 64, 15);
  const HessianAccumulator hessian = hessian_of(activations(80, 64, 16), 64);
  const auto refusal = [&](const GptqOptions& options) {
    return test::message_of<InputError>([&] { encode_gptq(weights, hessian, options, "w"); });
  };
  EXPECT_EQ(refusal({.bits = 3}), "w: bits: found 3, expected 4");
  EXPECT_EQ(refusal({.group = 12}), "w: group: found 12, expected -1 or a multiple of 8");
  EXPECT_EQ(refusal({.damping = -1}), "w: damping: found -1, expected 0 to 10");
  Tensor nan = weights.clone();
  nan.data<float>()[70] = NAN;
  EXPECT_EQ(test::message_of<InputError>([&] { encode_gptq(nan, hessian, {}, "w"); }),
            "w: element [1, 6]: found nan, expected a finite value");
  EXPECT_THROW(encode_gptq(normal_weights(4, 64, 17), hessian, {}, "w"), InputError);
  EXPECT_THROW(encode_gptq(normal_weights(8, 72, 18), hessian, {}, "w"), InternalError);
  EXPECT_THROW(encode_gptq(weights, HessianAccumulator(64), {}, "w"), InternalError);
}

}  // namespace
}  // namespace plimsoll::quant
