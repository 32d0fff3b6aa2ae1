#include "kernels/layer_norm/layer_norm.h"

#include <cmath>

#include "core/threads.h"

namespace plimsoll::kernels {

void layer_norm(const NormArgs& args) {
  const auto width = static_cast<float>(args.width);
  parallel_for(args.rows, 4, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const float* x = args.x + row * args.width;
      float* y = args.y + row * args.width;
      float sum = 0;
#pragma omp simd reduction(+ : sum)
      for (std::int64_t i = 0; i < args.width; ++i) sum += x[i];
      const float mean = sum / width;
      float squares = 0;  // a second pass: x^2 - mean^2 would cancel
#pragma omp simd reduction(+ : squares)
      for (std::int64_t i = 0; i < args.width; ++i) squares += (x[i] - mean) * (x[i] - mean);
      const float scale = 1.0f / std::sqrt(squares / width + args.epsilon);
#pragma omp simd
      for (std::int64_t i = 0; i < args.width; ++i) {
        y[i] = (x[i] - mean) * scale * args.weight[i] + args.bias[i];
      }
    }
  });
}

}  // namespace plimsoll::kernels
