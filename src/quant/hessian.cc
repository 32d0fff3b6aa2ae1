#include "quant/hessian.h"

#include <algorithm>
#include <cmath>

#include "core/memory.h"
#include "quant/panel_product.h"

namespace plimsoll::quant {

namespace {

constexpr std::int64_t kStrip = 64;

// In f64, as eight sums side by side that the compiler can hold in vectors.
double dot(const float* a, const float* b, std::int64_t count) {
  constexpr std::int64_t kSums = 8;
  double sums[kSums] = {};
  std::int64_t i = 0;
  for (; i + kSums <= count; i += kSums) {
    for (std::int64_t s = 0; s < kSums; ++s) {
      sums[s] += static_cast<double>(a[i + s]) * static_cast<double>(b[i + s]);
    }
  }
  for (; i < count; ++i) sums[0] += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

}  // namespace

HessianAccumulator::HessianAccumulator(std::int64_t columns) : columns_(columns) {
  PLIMSOLL_CHECK(columns > 0, "{} columns", columns);
  const auto extent = static_cast<std::uint64_t>(columns);
  require_memory(extent * extent * sizeof(float), fmt::format("a Hessian of {} columns", columns));
  sum_ = Tensor::zeros(DType::f32, {columns, columns});
}

void HessianAccumulator::add(const float* x, std::int64_t rows) {
  PLIMSOLL_CHECK(rows >= 0);
  for (std::int64_t i = 0; i < rows * columns_; ++i) {
    if (!std::isfinite(x[i])) {
      throw InputError("calibration", fmt::format("input of a layer, column {}", i % columns_),
                       fmt::format("{}", x[i]), "finite activations");
    }
  }
  float* sum = sum_.data<float>();
  for_triangle_strips((columns_ + kStrip - 1) / kStrip, [&](std::int64_t strip) {
    const std::int64_t begin = strip * kStrip;
    const std::int64_t height = std::min(kStrip, columns_ - begin);
    add_product<float>(height, columns_ - begin, rows, 1.0f, x + begin, columns_, x + begin,
                       columns_, sum + begin * columns_ + begin, columns_);
  });
  rows_ += rows;
}

double HessianAccumulator::at(std::int64_t i, std::int64_t j) const {
  if (rows_ == 0) return 0;
  const std::int64_t index = std::min(i, j) * columns_ + std::max(i, j);
  return 2.0 / static_cast<double>(rows_) * static_cast<double>(sum_.data<float>()[index]);
}

// Each pair of columns once, the rows inside: a row of the triangle is used while it is in cache.
void HessianAccumulator::quadratic_forms(const float* values, std::int64_t rows,
                                         double* out) const {
  const float* sum = sum_.data<float>();
  std::fill_n(out, rows, 0.0);
  if (rows_ == 0) return;
  for (std::int64_t i = 0; i < columns_; ++i) {
    const float* upper = sum + i * columns_;
    for (std::int64_t r = 0; r < rows; ++r) {
      const float* v = values + r * columns_;
      const double pairs = 2 * dot(upper + i + 1, v + i + 1, columns_ - i - 1);
      out[r] += v[i] * (static_cast<double>(upper[i]) * v[i] + pairs);
    }
  }
  for (std::int64_t r = 0; r < rows; ++r) out[r] *= 2.0 / static_cast<double>(rows_);
}

}  // namespace plimsoll::quant
