#include <cmath>
#include <vector>

#include "core/threads.h"
#include "kernels/rms_norm/rms_norm.h"

namespace plimsoll::kernels {

void rms_norm_backward(const NormGradientArgs& args) {
  const std::int64_t width = args.width;
  std::vector<float> scales(static_cast<std::size_t>(args.rows));
  parallel_for(args.rows, 4, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const float* x = args.x + row * width;
      const float* dy = args.dy + row * width;
      float* dx = args.dx + row * width;
      float squares = 0, product = 0;
#pragma omp simd reduction(+ : squares, product)
      for (std::int64_t i = 0; i < width; ++i) {
        squares += x[i] * x[i];
        product += x[i] * args.weight[i] * dy[i];
      }
      const auto n = static_cast<float>(width);
      const float scale = 1.0f / std::sqrt(squares / n + args.epsilon);
      const float along = scale * scale * scale * product / n;
#pragma omp simd
      for (std::int64_t i = 0; i < width; ++i)
        dx[i] += scale * args.weight[i] * dy[i] - along * x[i];
      scales[static_cast<std::size_t>(row)] = scale;
    }
  });
  if (args.dweight == nullptr) return;
  // Threads split the columns: the sum over rows has one order.
  parallel_for(width, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = 0; row < args.rows; ++row) {
      const float scale = scales[static_cast<std::size_t>(row)];
      const float* x = args.x + row * width;
      const float* dy = args.dy + row * width;
      for (std::int64_t i = begin; i < end; ++i) args.dweight[i] += scale * x[i] * dy[i];
    }
  });
}

}  // namespace plimsoll::kernels
