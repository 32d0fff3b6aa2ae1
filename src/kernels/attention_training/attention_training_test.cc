#include "kernels/attention_training/attention_training.h"

#include <gtest/gtest.h>

#include "support/finite_difference.h"

namespace plimsoll::kernels {
namespace {

struct Case {
  std::size_t length, heads, kv_heads, dim, window;
};

/// The textbook's attention in double.
std::vector<double> attention(const Case& c, const std::vector<double>& q,
                              const std::vector<double>& k, const std::vector<double>& v,
                              double scale) {
  std::vector<double> out(q.size());
  for (std::size_t h = 0; h < c.heads; ++h) {
    const std::size_t kv = h * c.kv_heads / c.heads;
    for (std::size_t i = 0; i < c.length; ++i) {
      const std::size_t first = c.window > 0 && i + 1 > c.window ? i + 1 - c.window : 0;
      std::vector<double> weights;
      double total = 0;
      for (std::size_t j = first; j <= i; ++j) {
        double score = 0;
        for (std::size_t d = 0; d < c.dim; ++d)
          score += q[(i * c.heads + h) * c.dim + d] * k[(j * c.kv_heads + kv) * c.dim + d];
        weights.push_back(std::exp(scale * score));
        total += weights.back();
      }
      for (std::size_t j = first; j <= i; ++j) {
        for (std::size_t d = 0; d < c.dim; ++d)
          out[(i * c.heads + h) * c.dim + d] +=
              weights[j - first] / total * v[(j * c.kv_heads + kv) * c.dim + d];
      }
    }
  }
  return out;
}

class AttentionTraining : public testing::TestWithParam<Case> {};

TEST_P(AttentionTraining, OutputAndGradients) {
  const Case c = GetParam();
  const float scale = 0.5f;
  const auto q = test::random_floats(c.length * c.heads * c.dim, 1),
             k = test::random_floats(c.length * c.kv_heads * c.dim, 2),
             v = test::random_floats(k.size(), 3), dout = test::random_floats(q.size(), 4);
  std::vector<float> out(q.size(), NAN), log_sum(c.heads * c.length, NAN);
  std::vector<float> dq(q.size()), dk(k.size()), dv(v.size());
  const auto i64 = [](std::size_t n) { return static_cast<std::int64_t>(n); };
  const AttentionTrainingArgs args{q.data(),      k.data(),        v.data(),      i64(c.length),
                                   i64(c.heads),  i64(c.kv_heads), i64(c.dim),    scale,
                                   i64(c.window), out.data(),      log_sum.data()};
  attention_training_forward(args, 0, i64(c.kv_heads));
  const auto exact = attention(c, test::widened(q), test::widened(k), test::widened(v), scale);
  // Weights sum to 1: an output is off by the relative error of a weight, that of a score (dim
  // products) and of exp, times values of a few units.
  for (std::size_t i = 0; i < out.size(); ++i) ASSERT_NEAR(out[i], exact[i], 1e-5) << i;

  attention_training_backward({args, dout.data(), dq.data(), dk.data(), dv.data()}, 0,
                              i64(c.kv_heads));
  const auto loss = [&](const auto& a, const auto& b, const auto& d) {
    const auto result = attention(c, a, b, d, scale);
    double total = 0;
    for (std::size_t i = 0; i < result.size(); ++i) total += dout[i] * result[i];
    return total;
  };
  const auto qd = test::widened(q), kd = test::widened(k), vd = test::widened(v);
  // Spread over the sequence: every element of a short one, some forty of a long one.
#ifdef PLIMSOLL_SLOW_BUILD
  constexpr std::size_t kElements = 10;
#else
  constexpr std::size_t kElements = 40;
#endif
  const auto stride = [&](const auto& values) { return values.size() / kElements + 1; };
  constexpr double kTolerance = 2e-5;  // as above, relative to the largest gradient
  test::expect_gradient([&](const auto& x) { return loss(x, kd, vd); }, q, dq, kTolerance,
                        stride(q));
  test::expect_gradient([&](const auto& x) { return loss(qd, x, vd); }, k, dk, kTolerance,
                        stride(k));
  test::expect_gradient([&](const auto& x) { return loss(qd, kd, x); }, v, dv, kTolerance,
                        stride(v));
}

// Shorter than a tile, one tile, several with a rest; windows inside a tile and across tiles.
INSTANTIATE_TEST_SUITE_P(Shapes, AttentionTraining,
                         testing::Values(Case{2, 1, 1, 4, 0}, Case{7, 2, 1, 6, 0},
                                         Case{128, 2, 2, 4, 0}, Case{260, 2, 1, 5, 0},
                                         Case{300, 2, 1, 5, 40}, Case{300, 1, 1, 4, 170}),
                         [](const auto& parameter) {
                           const Case& c = parameter.param;
                           return "length" + std::to_string(c.length) + "_window" +
                                  std::to_string(c.window);
                         });

}  // namespace
}  // namespace plimsoll::kernels
