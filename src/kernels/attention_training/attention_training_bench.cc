// Attention as training has it, forward and backward, at TinyLlama's heads: one sequence, its KV
// heads spread over the team.
#include "kernels/attention_training/attention_training.h"

#include "kernels/gradient_bench.h"

namespace plimsoll::kernels {
namespace {

constexpr std::int64_t kHeads = 32, kKvHeads = 4, kHeadDim = 64;

struct Problem {
  explicit Problem(std::int64_t tokens)
      : length(tokens),
        q(cases::random_floats(tokens * kHeads * kHeadDim, 1)),
        k(cases::random_floats(tokens * kKvHeads * kHeadDim, 2)),
        v(cases::random_floats(tokens * kKvHeads * kHeadDim, 3)),
        dout(cases::random_floats(tokens * kHeads * kHeadDim, 4)),
        out(q.size()),
        log_sum(static_cast<std::size_t>(tokens * kHeads)),
        dq(q.size()),
        dk(k.size()),
        dv(v.size()) {}

  AttentionTrainingArgs args() {
    AttentionTrainingArgs args;
    args.q = q.data();
    args.k = k.data();
    args.v = v.data();
    args.length = length;
    args.heads = kHeads;
    args.kv_heads = kKvHeads;
    args.head_dim = kHeadDim;
    args.scale = 0.125f;
    args.out = out.data();
    args.log_sum = log_sum.data();
    return args;
  }
  void forward() {
    parallel_for(kKvHeads, 1, [&](std::int64_t begin, std::int64_t end) {
      attention_training_forward(args(), begin, end);
    });
  }
  void backward() {
    parallel_for(kKvHeads, 1, [&](std::int64_t begin, std::int64_t end) {
      attention_training_backward({args(), dout.data(), dq.data(), dk.data(), dv.data()}, begin,
                                  end);
    });
  }
  /// The gradients of all three against the forward pass.
  bool verified() {
    forward();
    backward();
    const auto agrees = [&](std::vector<float>& input, const std::vector<float>& gradient) {
      const std::vector<float> kept = input;
      const bool result = cases::gradient_agrees(
          [&](const std::vector<float>& moved) {
            input = moved;
            forward();
            return out;
          },
          kept, gradient, dout);
      input = kept;
      return result;
    };
    const bool all = agrees(q, dq) && agrees(k, dk) && agrees(v, dv);
    forward();  // what backward reads
    return all;
  }
  /// Of one product of queries and the keys that they see.
  std::int64_t score_operations() const { return length * (length + 1) * kHeads * kHeadDim; }
  std::int64_t bytes() const {
    return static_cast<std::int64_t>(4 * (2 * q.size() + k.size() + v.size()));
  }

  std::int64_t length;
  std::vector<float> q, k, v, dout, out, log_sum, dq, dk, dv;
};

void attention_training(benchmark::State& state, bool backward) {
  Problem problem(state.range(0));
  const bool verified = problem.verified();
  cases::time_gradient(
      state, verified, [&] { backward ? problem.backward() : problem.forward(); },
      (backward ? 2 : 1) * problem.bytes(), (backward ? 5 : 2) * problem.score_operations());
}

BENCHMARK_CAPTURE(attention_training, forward, false)->Arg(256)->Arg(1024)->UseRealTime();
BENCHMARK_CAPTURE(attention_training, backward, true)->Arg(256)->Arg(1024)->UseRealTime();

}  // namespace
}  // namespace plimsoll::kernels
