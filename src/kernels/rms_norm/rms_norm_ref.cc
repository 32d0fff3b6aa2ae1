#include <cmath>

#include "kernels/rms_norm/rms_norm.h"

namespace plimsoll::kernels {

void rms_norm_ref(const NormArgs& args) {
  for (std::int64_t row = 0; row < args.rows; ++row) {
    const float* x = args.x + row * args.width;
    double squares = 0;
    for (std::int64_t i = 0; i < args.width; ++i) squares += static_cast<double>(x[i]) * x[i];
    const double scale = 1.0 / std::sqrt(squares / static_cast<double>(args.width) + args.epsilon);
    for (std::int64_t i = 0; i < args.width; ++i) {
      args.y[row * args.width + i] = static_cast<float>(x[i] * scale * args.weight[i]);
    }
  }
}

}  // namespace plimsoll::kernels
