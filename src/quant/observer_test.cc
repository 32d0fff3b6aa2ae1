#include "quant/observer.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/rng.h"
#include "quant/int8.h"
#include "support/support.h"

namespace plimsoll::quant {
namespace {

// Normal values, and one in a thousand thirty times as large.
std::vector<float> with_outliers(std::size_t count) {
  Rng rng(1);
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = static_cast<float>(rng.normal() * (i % 1000 == 7 ? 30 : 1));
  }
  return values;
}

double squared_error(const std::vector<float>& values, const InputGrid& grid) {
  double error = 0;
  for (const float value : values) {
    const std::int8_t code = quantize_static(value, grid.scale, grid.zero);
    const double difference = value - static_cast<double>(grid.scale) * (code - grid.zero);
    error += difference * difference;
  }
  return error;
}

InputGrid observed(ObserverKind kind, std::span<const float> values) {
  InputObserver observer(kind);
  observer.add(values);
  return observer.grid();
}

TEST(InputGrid, SpansTheRangeAndZero) {
  const InputGrid both = input_grid(-1, 3);
  EXPECT_FLOAT_EQ(both.scale, 4.0f / 255);
  EXPECT_EQ(both.zero, -128 + 64);          // 255 / 4 = 63.75 steps below zero
  EXPECT_EQ(input_grid(2, 3).zero, -128);   // from 0
  EXPECT_EQ(input_grid(-3, -2).zero, 127);  // to 0
  EXPECT_EQ(input_grid(0, 0).scale, 1);
  for (const double low : {-5.0, -0.1, 0.0}) {
    const InputGrid grid = input_grid(low, 2);
    for (const double value : {low, 0.0, 2.0}) {
      const std::int8_t code = quantize_static(static_cast<float>(value), grid.scale, grid.zero);
      EXPECT_NEAR(grid.scale * static_cast<float>(code - grid.zero), value, 0.501 * grid.scale);
    }
  }
}

TEST(QuantizeStatic, SaturatesWhateverIsGiven) {
  EXPECT_EQ(quantize_static(1e30f, 0.01f, 5), 127);
  EXPECT_EQ(quantize_static(-1e30f, 0.01f, 5), -128);
  EXPECT_EQ(quantize_static(0, 0.01f, 5), 5);
  EXPECT_EQ(quantize_static(0.025f, 0.01f, 0), 2);  // a tie (2.5 in f32) goes to the even code
}

TEST(InputObserver, MinmaxHoldsEveryValue) {
  const std::vector<float> values = with_outliers(20000);
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  const InputGrid grid = observed(ObserverKind::minmax, values);
  const InputGrid expected = input_grid(*low, *high);
  EXPECT_EQ(grid.scale, expected.scale);
  EXPECT_EQ(grid.zero, expected.zero);
}

TEST(InputObserver, PercentileCutsBothTails) {
  // 0, 1, ..., 99999: the central 99.9 % is 50 to 99949.
  std::vector<float> values(100000);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i) - 30000;
  const InputGrid grid = observed(ObserverKind::percentile, values);
  const InputGrid expected = input_grid(-29950, 69949);
  const double bin = 131072.0 * 2 / (1 << 14);
  EXPECT_NEAR(grid.scale * 255, expected.scale * 255, 2 * bin);
  EXPECT_NEAR(grid.zero, expected.zero, 1);
  EXPECT_LT(grid.scale, observed(ObserverKind::minmax, values).scale);
}

TEST(InputObserver, MseIsBestOfTheThree) {
  const std::vector<float> values = with_outliers(50000);
  const double mse = squared_error(values, observed(ObserverKind::mse, values));
  EXPECT_LT(mse, 0.95 * squared_error(values, observed(ObserverKind::minmax, values)));
  EXPECT_LT(mse, 0.95 * squared_error(values, observed(ObserverKind::percentile, values)));
}

TEST(InputObserver, OrderAndPortionsDoNotMatter) {
  std::vector<float> values = with_outliers(5000);
  values.push_back(0);
  std::vector<float> ascending = values;
  std::sort(ascending.begin(), ascending.end(),
            [](float a, float b) { return std::fabs(a) < std::fabs(b); });
  for (const ObserverKind kind : {ObserverKind::percentile, ObserverKind::mse}) {
    // The central half lies in bins that were merged from the finest on.
    InputObserver at_once(kind, 50);
    at_once.add(values);
    const InputGrid whole = at_once.grid();
    InputObserver observer(kind, 50);  // the histogram widens again and again
    for (std::size_t i = 0; i < ascending.size(); ++i) observer.add({&ascending[i], 1});
    EXPECT_EQ(observer.count(), 5001);
    EXPECT_EQ(observer.grid().scale, whole.scale);
    EXPECT_EQ(observer.grid().zero, whole.zero);
  }
}

TEST(InputObserver, ZerosAndExtremes) {
  const std::vector<float> zeros(10, 0.0f);
  for (const ObserverKind kind :
       {ObserverKind::minmax, ObserverKind::percentile, ObserverKind::mse}) {
    EXPECT_EQ(observed(kind, zeros).scale, 1);
    EXPECT_EQ(observed(kind, zeros).zero, 0);
    const std::vector<float> extremes = {-std::numeric_limits<float>::max(),
                                         std::numeric_limits<float>::max(), 1e-40f};
    EXPECT_TRUE(std::isfinite(observed(kind, extremes).scale));
    InputObserver observer(kind);
    const std::vector<float> bad = {1, NAN};
    EXPECT_THROW(observer.add(bad), InputError);
    EXPECT_THROW(InputObserver(kind).grid(), InternalError);
  }
}

TEST(ObserverKind, NamesGoBothWays) {
  for (const ObserverKind kind :
       {ObserverKind::minmax, ObserverKind::percentile, ObserverKind::mse}) {
    EXPECT_EQ(observer_from_name(observer_name(kind), "--observer"), kind);
  }
  EXPECT_THROW(observer_from_name("max", "--observer"), InputError);
}

}  // namespace
}  // namespace plimsoll::quant
