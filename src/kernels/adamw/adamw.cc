#include "kernels/adamw/adamw.h"

#include <cmath>

#include "core/threads.h"

namespace plimsoll::kernels {

void adamw(const AdamWArgs& args) {
  const auto step = static_cast<double>(args.step);
  const auto keep = static_cast<float>(1 - args.rate * args.weight_decay);
  const auto rate = static_cast<float>(args.rate / (1 - std::pow(args.beta1, step)));
  const auto unbias = static_cast<float>(1 / std::sqrt(1 - std::pow(args.beta2, step)));
  const auto beta1 = static_cast<float>(args.beta1), rest1 = static_cast<float>(1 - args.beta1);
  const auto beta2 = static_cast<float>(args.beta2), rest2 = static_cast<float>(1 - args.beta2);
  const auto epsilon = static_cast<float>(args.epsilon);
  const auto scale = static_cast<float>(args.gradient_scale);
  parallel_for(args.count, 1 << 13, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const float g = scale * args.gradients[i];
      args.mean[i] = beta1 * args.mean[i] + rest1 * g;
      args.square[i] = beta2 * args.square[i] + rest2 * g * g;
      args.values[i] = keep * args.values[i] -
                       rate * args.mean[i] / (std::sqrt(args.square[i]) * unbias + epsilon);
    }
  });
}

}  // namespace plimsoll::kernels
