#include "kernels/rms_norm/rms_norm.h"

#include <cmath>

#include "core/threads.h"

namespace plimsoll::kernels {

void rms_norm(const NormArgs& args) {
  parallel_for(args.rows, 4, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const float* x = args.x + row * args.width;
      float* y = args.y + row * args.width;
      float squares = 0;
#pragma omp simd reduction(+ : squares)
      for (std::int64_t i = 0; i < args.width; ++i) squares += x[i] * x[i];
      const float scale = 1.0f / std::sqrt(squares / static_cast<float>(args.width) + args.epsilon);
#pragma omp simd
      for (std::int64_t i = 0; i < args.width; ++i) y[i] = x[i] * scale * args.weight[i];
    }
  });
}

}  // namespace plimsoll::kernels
