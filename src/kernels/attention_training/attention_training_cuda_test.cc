#include "kernels/attention_training/attention_training_cuda.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/rng.h"
#include "kernels/attention_training/attention_training.h"
#include "support/cuda.h"
#include "support/on_device.h"

namespace plimsoll::kernels {
namespace {

struct Case {
  std::vector<std::int64_t> bounds;
  std::int64_t heads, kv_heads, dim, window;
};

/// Multiples of 1/8 up to 2: exact in TF32, so that scores and products with v are.
std::vector<float> exact_floats(std::int64_t count, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) value = static_cast<float>(rng.below(33)) / 8 - 2;
  return values;
}

/// Inputs, and what the CPU's kernel makes of them.
struct Expected {
  explicit Expected(const Case& c)
      : rows(c.bounds.back()),
        q(exact_floats(rows * c.heads * c.dim, 1)),
        k(exact_floats(rows * c.kv_heads * c.dim, 2)),
        v(exact_floats(rows * c.kv_heads * c.dim, 3)),
        dout(exact_floats(rows * c.heads * c.dim, 4)),
        out(q.size()),
        log_sum(static_cast<std::size_t>(rows * c.heads)),
        dq(exact_floats(rows * c.heads * c.dim, 5)),
        dk(exact_floats(rows * c.kv_heads * c.dim, 6)),
        dv(exact_floats(rows * c.kv_heads * c.dim, 7)) {}

  /// Run after the GPU has been given what the gradients are added to.
  void compute(const Case& c, float scale) {
    const std::int64_t wide = c.heads * c.dim;
    const std::int64_t narrow = c.kv_heads * c.dim;
    for (std::size_t s = 0; s + 1 < c.bounds.size(); ++s) {
      const std::int64_t begin = c.bounds[s];
      const std::int64_t length = c.bounds[s + 1] - begin;
      std::vector<float> sums(static_cast<std::size_t>(length * c.heads));
      const AttentionTrainingArgs args{q.data() + begin * wide,
                                       k.data() + begin * narrow,
                                       v.data() + begin * narrow,
                                       length,
                                       c.heads,
                                       c.kv_heads,
                                       c.dim,
                                       scale,
                                       c.window,
                                       out.data() + begin * wide,
                                       sums.data()};
      attention_training_forward(args, 0, c.kv_heads);
      attention_training_backward({args, dout.data() + begin * wide, dq.data() + begin * wide,
                                   dk.data() + begin * narrow, dv.data() + begin * narrow},
                                  0, c.kv_heads);
      for (std::int64_t head = 0; head < c.heads; ++head) {
        std::copy_n(sums.begin() + head * length, length, log_sum.begin() + head * rows + begin);
      }
    }
  }

  std::int64_t rows;
  std::vector<float> q, k, v, dout, out, log_sum, dq, dk, dv;
};

/// What is left of TF32: weights and slopes are rounded by 2^-12 of their own, and outputs by as
/// much of the sum of their terms' magnitudes, which a few times the largest output bounds.
void expect_near(const cuda::Buffer& buffer, const std::vector<float>& expected, double bound,
                 const char* what) {
  const std::vector<float> actual = test::downloaded<float>(buffer);
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i)
    ASSERT_NEAR(actual[i], expected[i], bound) << what << ", element " << i;
}

double largest(const std::vector<float>& values) {
  double most = 0;
  for (const float value : values) most = std::max(most, std::fabs(static_cast<double>(value)));
  return most;
}

class AttentionTrainingCuda : public testing::TestWithParam<Case> {};

TEST_P(AttentionTrainingCuda, OutputAndGradientsAsOnTheCpu) {
  PLIMSOLL_GPU_OR_SKIP();
  const Case c = GetParam();
  // A power of two, so that scaled queries are exact too; scores of a few units.
  const auto scale =
      static_cast<float>(std::exp2(std::round(-std::log2(static_cast<double>(c.dim)) / 2)));
  Expected expected(c);
  const cuda::Buffer q = test::uploaded(expected.q);
  const cuda::Buffer k = test::uploaded(expected.k);
  const cuda::Buffer v = test::uploaded(expected.v);
  const cuda::Buffer dout = test::uploaded(expected.dout);
  const cuda::Buffer bounds = test::uploaded(c.bounds);
  const cuda::Buffer out = test::poisoned<float>(expected.out.size());
  const cuda::Buffer log_sum = test::poisoned<float>(expected.log_sum.size());
  const cuda::Buffer scratch = test::poisoned<float>(expected.log_sum.size());
  DeviceAttentionTrainingArgs args;
  args.q = q.data<float>();
  args.k = k.data<float>();
  args.v = v.data<float>();
  args.bounds = bounds.data<std::int64_t>();
  args.sequences = static_cast<std::int64_t>(c.bounds.size()) - 1;
  args.rows = expected.rows;
  args.longest = expected.rows;  // more than any has, where there are several
  args.heads = c.heads;
  args.kv_heads = c.kv_heads;
  args.head_dim = c.dim;
  args.scale = scale;
  args.window = c.window;
  args.out = out.data<float>();
  args.log_sum = log_sum.data<float>();
  const cuda::Stream stream;
  attention_training_forward(args, stream.get());
  std::vector<std::vector<float>> gradients[3];
  for (int repeat = 0; repeat < 2; ++repeat) {
    const cuda::Buffer dq = test::uploaded(expected.dq);
    const cuda::Buffer dk = test::uploaded(expected.dk);
    const cuda::Buffer dv = test::uploaded(expected.dv);
    DeviceAttentionGradientArgs backward;
    backward.forward = args;
    backward.dout = dout.data<float>();
    backward.dq = dq.data<float>();
    backward.dk = dk.data<float>();
    backward.dv = dv.data<float>();
    backward.scratch = scratch.data<float>();
    attention_training_backward(backward, stream.get());
    stream.synchronize();
    gradients[0].push_back(test::downloaded<float>(dq));
    gradients[1].push_back(test::downloaded<float>(dk));
    gradients[2].push_back(test::downloaded<float>(dv));
    if (repeat == 0) continue;
    for (const auto& both : gradients) EXPECT_EQ(both[0], both[1]);  // to the bit
    expected.compute(c, scale);
    const double unit = std::ldexp(1.0, -11);
    expect_near(out, expected.out, unit * largest(expected.v), "out");
    expect_near(log_sum, expected.log_sum, 1e-5, "log sum");
    expect_near(dq, expected.dq, 2 * unit * largest(expected.dq), "dq");
    expect_near(dk, expected.dk, 2 * unit * largest(expected.dk), "dk");
    expect_near(dv, expected.dv, 2 * unit * largest(expected.dv), "dv");
  }
}

// One row, less than a tile, one tile, several with a rest, several sequences; windows inside a
// tile and across tiles; groups; head dims that fill a kernel's and that do not.
INSTANTIATE_TEST_SUITE_P(
    Shapes, AttentionTrainingCuda,
    testing::Values(Case{{0, 1}, 1, 1, 4, 0}, Case{{0, 7}, 2, 1, 12, 0}, Case{{0, 64}, 2, 2, 64, 0},
                    Case{{0, 193}, 4, 2, 64, 0}, Case{{0, 200}, 2, 1, 64, 5},
                    Case{{0, 300}, 3, 1, 64, 130}, Case{{0, 5, 133, 134, 230}, 4, 2, 48, 0},
                    Case{{0, 90, 171}, 2, 2, 64, 33}, Case{{0, 129}, 2, 1, 128, 0},
                    Case{{0, 40, 150}, 4, 1, 80, 50}, Case{{0, 77}, 2, 1, 256, 0},
                    Case{{0, 30, 100}, 2, 2, 200, 17}),
    [](const auto& parameter) {
      const Case& c = parameter.param;
      return "rows" + std::to_string(c.bounds.back()) + "_heads" + std::to_string(c.heads) +
             "_dim" + std::to_string(c.dim) + "_window" + std::to_string(c.window);
    });

}  // namespace
}  // namespace plimsoll::kernels
