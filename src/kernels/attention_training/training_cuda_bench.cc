// A step's attention with TinyLlama's heads and with Mistral-7B's, and what memory bounds at
// TinyLlama's widths.
#include "kernels/attention_training/training_cuda_bench.h"

#include <cmath>
#include <string>
#include <vector>

#include "core/cuda/cublas_cuda.h"
#include "core/cuda/memory_cuda.h"
#include "core/rng.h"
#include "kernels/activation/activation_backward_cuda.h"
#include "kernels/adamw/adamw_cuda.h"
#include "kernels/attention_training/attention_training.h"
#include "kernels/attention_training/attention_training_cuda.h"
#include "kernels/cross_entropy/cross_entropy_cuda.h"
#include "kernels/cuda/graph_timing_cuda.h"
#include "kernels/dropout/dropout_cuda.h"
#include "kernels/embedding/embedding_backward_cuda.h"
#include "kernels/rms_norm/norm_backward_cuda.h"
#include "kernels/rope/rope_cuda.h"

namespace plimsoll::kernels {

namespace {

constexpr const char* kWhat = "the benchmark";

std::vector<float> random_floats(std::int64_t count, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) value = static_cast<float>(2 * rng.uniform() - 1);
  return values;
}

cuda::Buffer random_buffer(std::int64_t count, std::uint64_t seed) {
  return cuda::Buffer::of<float>(random_floats(count, seed), kWhat);
}

struct Heads {
  const char* name;
  std::int64_t heads, kv_heads, dim;
};

struct Attention {
  Attention(const Heads& of, std::int64_t sequences, std::int64_t length)
      : rows(sequences * length),
        q(random_floats(rows * of.heads * of.dim, 1)),
        k(random_floats(rows * of.kv_heads * of.dim, 2)),
        v(random_floats(rows * of.kv_heads * of.dim, 3)),
        dout(random_floats(rows * of.heads * of.dim, 4)) {
    std::vector<std::int64_t> ends{0};
    ends.reserve(static_cast<std::size_t>(sequences) + 1);
    for (std::int64_t s = 1; s <= sequences; ++s) ends.push_back(s * length);
    for (const auto* values : {&q, &k, &v, &dout})
      inputs.push_back(cuda::Buffer::of<float>(*values, kWhat));
    for (const auto* values : {&q, &q, &k, &v})
      outputs.push_back(cuda::Buffer::of<float>(std::vector<float>(values->size(), 0.0f), kWhat));
    sums = cuda::Buffer(static_cast<std::size_t>(2 * rows * of.heads) * 4, kWhat);
    bounds = cuda::Buffer::of<std::int64_t>(ends, kWhat);
    DeviceAttentionTrainingArgs& f = args.forward;
    f.q = inputs[0].data<float>();
    f.k = inputs[1].data<float>();
    f.v = inputs[2].data<float>();
    f.bounds = bounds.data<std::int64_t>();
    f.sequences = sequences;
    f.rows = rows;
    f.longest = length;
    f.heads = of.heads;
    f.kv_heads = of.kv_heads;
    f.head_dim = of.dim;
    f.scale = 0.125f;
    f.out = outputs[0].data<float>();
    f.log_sum = sums.data<float>();
    args.dout = inputs[3].data<float>();
    args.dq = outputs[1].data<float>();
    args.dk = outputs[2].data<float>();
    args.dv = outputs[3].data<float>();
    args.scratch = sums.data<float>() + rows * of.heads;
  }

  /// The largest difference from the CPU's kernels, of one sequence, over the largest value.
  double difference(const cuda::Stream& stream) const {
    attention_training_forward(args.forward, stream.get());
    attention_training_backward(args, stream.get());
    stream.synchronize();
    std::vector<float> expected[4] = {std::vector<float>(q.size()), std::vector<float>(q.size()),
                                      std::vector<float>(k.size()), std::vector<float>(v.size())};
    const DeviceAttentionTrainingArgs& f = args.forward;
    std::vector<float> log_sum(static_cast<std::size_t>(rows * f.heads));
    const AttentionTrainingArgs host{q.data(), k.data(),           v.data(),      rows,
                                     f.heads,  f.kv_heads,         f.head_dim,    f.scale,
                                     0,        expected[0].data(), log_sum.data()};
    attention_training_forward(host, 0, f.kv_heads);
    attention_training_backward(
        {host, dout.data(), expected[1].data(), expected[2].data(), expected[3].data()}, 0,
        f.kv_heads);
    double worst = 0;
    for (std::size_t which = 0; which < 4; ++which) {
      std::vector<float> actual(expected[which].size());
      outputs[which].download(actual.data(), outputs[which].bytes(), 0);
      double most = 0;
      double off = 0;
      for (std::size_t i = 0; i < actual.size(); ++i) {
        const double difference = std::fabs(static_cast<double>(actual[i]) - expected[which][i]);
        off = difference <= off ? off : difference;  // NaN too
        most = std::max(most, std::fabs(static_cast<double>(expected[which][i])));
      }
      worst = off / most <= worst ? worst : off / most;
    }
    return worst;
  }

  std::int64_t rows;
  std::vector<float> q, k, v, dout;
  std::vector<cuda::Buffer> inputs, outputs;
  cuda::Buffer sums, bounds;
  DeviceAttentionGradientArgs args;
};

void bench_attention_of(const Heads& of) {
  const cuda::Stream stream;
  const double difference = Attention(of, 1, 300).difference(stream);
  std::printf("%s: differs from the CPU by %.1e of the largest\n", of.name, difference);
  if (!(difference < 2e-3)) {
    std::printf("  NOT TIMED\n");
    return;
  }
  for (const std::int64_t length : {512, 2048, 4096}) {
    const std::int64_t sequences = 8192 / length;
    const Attention a(of, sequences, length);
    // Of one product of queries and the keys that they see.
    const double products = 1e-12 * static_cast<double>(a.rows * (length + 1) * of.heads * of.dim);
    const std::string what = std::to_string(sequences) + " x " + std::to_string(length);
    const GraphTiming forward = time_graph(
        stream, [&] { attention_training_forward(a.args.forward, stream.get()); }, 9);
    const GraphTiming backward = time_graph(
        stream, [&] { attention_training_backward(a.args, stream.get()); }, 9);
    print_timing(what + ", forward", forward, 2 * products, "TFLOP/s", 1);
    print_timing(what + ", backward", backward, 5 * products, "TFLOP/s", 1);
  }
}

void bench_memory(double ceiling) {
  constexpr std::int64_t kRows = 8192;
  constexpr std::int64_t kWidth = 2048;
  constexpr std::int64_t kCount = kRows * kWidth;
  constexpr std::int64_t kVocabulary = 32000;
  constexpr double kOnce = 4e-9 * kCount;  // GB of a matrix, read or written
  const cuda::Buffer a = random_buffer(kCount, 1);
  const cuda::Buffer b = random_buffer(kCount, 2);
  const cuda::Buffer c = random_buffer(kCount, 3);
  const cuda::Buffer d = random_buffer(kCount, 4);
  const cuda::Buffer e = random_buffer(kCount, 5);
  const cuda::Buffer scratch(std::size_t{8} * kRows, kWhat);
  const cuda::Buffer sums(8 * kSumScratch, kWhat);
  const cuda::Buffer logits = random_buffer(2048 * kVocabulary, 6);
  const cuda::Buffer table = random_buffer(kVocabulary * kWidth, 7);
  std::vector<std::int32_t> ids(kRows);
  Rng rng(8);
  for (std::int32_t& id : ids)
    id = static_cast<std::int32_t>(rng.below(rng.below(kVocabulary) + 1));
  const cuda::Buffer id_buffer = cuda::Buffer::of<std::int32_t>(ids, kWhat);
  const cuda::Buffer losses(std::size_t{8} * kRows, kWhat);
  const cuda::Stream stream;
  const auto time = [&](const char* what, double gigabytes, auto&& run) {
    print_timing(what, time_graph(stream, run, 9), gigabytes, "GB/s", ceiling);
  };
  float* const x = a.data<float>();
  NormGradientArgs norm{x, kRows, kWidth, b.data<float>(), 1e-5f, c.data<float>(), d.data<float>()};
  time("rms_norm_backward", 4 * kOnce, [&] { rms_norm_backward(norm, nullptr, stream.get()); });
  norm.dweight = e.data<float>();
  time("rms_norm_backward with dweight", 6 * kOnce,
       [&] { rms_norm_backward(norm, scratch.data<float>(), stream.get()); });
  time("swiglu_backward", 7 * kOnce, [&] {
    swiglu_backward({x, b.data<float>(), c.data<float>(), kCount, d.data<float>(), e.data<float>()},
                    stream.get());
  });
  time("rope", 2 * kOnce, [&] {
    rope({x, kRows, kWidth / 64, 64, b.data<float>(), c.data<float>()}, stream.get());
  });
  time("dropout", 2 * kOnce, [&] {
    dropout({x, kRows, kWidth, 0.1, 7, b.data<float>()}, stream.get());
  });
  time("adamw", 7 * kOnce, [&] {
    adamw({d.data<float>(), x, e.data<float>(), c.data<float>(), kCount}, stream.get());
  });
  time("add_squares", kOnce,
       [&] { add_squares(x, kCount, sums.data<double>(), losses.data<double>(), stream.get()); });
  time("embedding_backward", 3 * kOnce, [&] {
    embedding_backward(
        {id_buffer.data<std::int32_t>(), kRows, x, kWidth, kVocabulary, table.data<float>()},
        stream.get());
  });
  time("cross_entropy, 2048 x 32000", 3 * 4e-9 * 2048 * kVocabulary, [&] {
    cross_entropy({logits.data<float>(), 2048, kVocabulary, id_buffer.data<std::int32_t>(),
                   losses.data<double>(), 0.1f},
                  stream.get());
  });
}

void bench_products() {
  constexpr std::int64_t kRows = 8192;
  constexpr std::int64_t kWidth = 2048;
  constexpr std::int64_t kHidden = 5632;
  const cuda::Buffer wide = random_buffer(kRows * kHidden, 1);
  const cuda::Buffer weights = random_buffer(kWidth * kHidden, 2);
  const cuda::Buffer narrow = random_buffer(kRows * kWidth, 3);
  const cuda::Buffer workspace(cuda::kMatmulWorkspace, kWhat);
  const cuda::Stream stream;
  for (const bool tf32 : {false, true}) {
    cuda::GemmArgs args;
    args.tf32 = tf32;
    args.m = kRows;
    args.n = kWidth;
    args.k = kHidden;
    args.a = wide.data();
    args.lda = kHidden;
    args.b = weights.data();
    args.ldb = kWidth;
    args.c = narrow.data<float>();
    args.ldc = kWidth;
    args.workspace = workspace.data();
    print_timing(tf32 ? "dy W in TF32" : "dy W in fp32",
                 time_graph(
                     stream, [&] { cuda::gemm(args, stream.get()); }, 9),
                 2e-12 * kRows * kWidth * kHidden, "TFLOP/s", 1);
  }
}

}  // namespace

int bench_training(double ceiling) {
  bench_attention_of({"TinyLlama's heads", 32, 4, 64});
  bench_attention_of({"Mistral-7B's heads", 32, 8, 128});
  bench_products();
  bench_memory(ceiling);
  return 0;
}

}  // namespace plimsoll::kernels
