#include <cmath>

#include "kernels/layer_norm/layer_norm.h"

namespace plimsoll::kernels {

void layer_norm_ref(const NormArgs& args) {
  for (std::int64_t row = 0; row < args.rows; ++row) {
    const float* x = args.x + row * args.width;
    double mean = 0;
    for (std::int64_t i = 0; i < args.width; ++i) mean += x[i];
    mean /= static_cast<double>(args.width);
    double variance = 0;
    for (std::int64_t i = 0; i < args.width; ++i) variance += (x[i] - mean) * (x[i] - mean);
    const double scale = 1.0 / std::sqrt(variance / static_cast<double>(args.width) + args.epsilon);
    for (std::int64_t i = 0; i < args.width; ++i) {
      args.y[row * args.width + i] =
          static_cast<float>((x[i] - mean) * scale * args.weight[i] + args.bias[i]);
    }
  }
}

}  // namespace plimsoll::kernels
