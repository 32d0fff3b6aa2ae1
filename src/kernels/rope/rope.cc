#include "kernels/rope/rope.h"

#include <cmath>

#include "core/threads.h"

namespace plimsoll::kernels {

namespace {

/// By the angle, or by minus the angle (`sign` -1).
void rotate(const RopeArgs& args, float sign) {
  const std::int64_t half = args.head_dim / 2;
  parallel_for(args.tokens, 8, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t token = begin; token < end; ++token) {
      const float* cosine = args.cosine + token * half;
      const float* sine = args.sine + token * half;
      for (std::int64_t head = 0; head < args.heads; ++head) {
        float* low = args.x + (token * args.heads + head) * args.head_dim;
        float* high = low + half;
        for (std::int64_t i = 0; i < half; ++i) {
          const float a = low[i];
          const float b = high[i];
          const float s = sign * sine[i];
          low[i] = a * cosine[i] - b * s;
          high[i] = b * cosine[i] + a * s;
        }
      }
    }
  });
}

}  // namespace

void rope(const RopeArgs& args) {
  rotate(args, 1);
}

void rope_backward(const RopeArgs& args) {
  rotate(args, -1);
}

void rope_angles(const std::int64_t* positions, std::int64_t tokens, const float* frequencies,
                 std::int64_t half_dim, float* cosine, float* sine) {
  parallel_for(tokens, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t token = begin; token < end; ++token) {
      for (std::int64_t i = 0; i < half_dim; ++i) {
        const double angle =
            static_cast<double>(positions[token]) * static_cast<double>(frequencies[i]);
        cosine[token * half_dim + i] = static_cast<float>(std::cos(angle));
        sine[token * half_dim + i] = static_cast<float>(std::sin(angle));
      }
    }
  });
}

}  // namespace plimsoll::kernels
