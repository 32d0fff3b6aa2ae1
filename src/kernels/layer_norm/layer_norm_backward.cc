#include <cmath>
#include <vector>

#include "core/threads.h"
#include "kernels/layer_norm/layer_norm.h"

namespace plimsoll::kernels {

namespace {

struct RowStatistics {
  float mean = 0;
  float scale = 0;  // 1 / sqrt(variance + epsilon)
};

RowStatistics statistics(const float* x, std::int64_t width, float epsilon) {
  const auto n = static_cast<float>(width);
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < width; ++i) sum += x[i];
  const float mean = sum / n;
  float squares = 0;
#pragma omp simd reduction(+ : squares)
  for (std::int64_t i = 0; i < width; ++i) squares += (x[i] - mean) * (x[i] - mean);
  return {mean, 1.0f / std::sqrt(squares / n + epsilon)};
}

}  // namespace

void layer_norm_backward(const NormGradientArgs& args) {
  const std::int64_t width = args.width;
  const auto n = static_cast<float>(width);
  std::vector<RowStatistics> rows(static_cast<std::size_t>(args.rows));
  parallel_for(args.rows, 4, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const float* x = args.x + row * width;
      const float* dy = args.dy + row * width;
      float* dx = args.dx + row * width;
      const RowStatistics s = statistics(x, width, args.epsilon);
      rows[static_cast<std::size_t>(row)] = s;
      float sum = 0, product = 0;
#pragma omp simd reduction(+ : sum, product)
      for (std::int64_t i = 0; i < width; ++i) {
        const float g = args.weight[i] * dy[i];
        sum += g;
        product += g * (x[i] - s.mean) * s.scale;
      }
#pragma omp simd
      for (std::int64_t i = 0; i < width; ++i) {
        dx[i] +=
            s.scale * (args.weight[i] * dy[i] - sum / n - (x[i] - s.mean) * s.scale * product / n);
      }
    }
  });
  if (args.dweight == nullptr && args.dbias == nullptr) return;
  // Threads split the columns: the sum over rows has one order.
  parallel_for(width, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = 0; row < args.rows; ++row) {
      const RowStatistics s = rows[static_cast<std::size_t>(row)];
      const float* x = args.x + row * width;
      const float* dy = args.dy + row * width;
      for (std::int64_t i = begin; i < end; ++i) {
        if (args.dweight != nullptr) args.dweight[i] += (x[i] - s.mean) * s.scale * dy[i];
        if (args.dbias != nullptr) args.dbias[i] += dy[i];
      }
    }
  });
}

}  // namespace plimsoll::kernels
