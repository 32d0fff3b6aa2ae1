#include "kernels/gemv/gemv_cuda.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/gemm_dense/gemm_dense.h"
#include "kernels/gemm_fp8/gemm_fp8_ref.h"
#include "kernels/gemm_int8/gemm_int8_ref.h"
#include "kernels/gemm_table4/gemm_table4_ref.h"
#include "kernels/rms_norm/rms_norm.h"
#include "kernels/tile_fma/quantised_cases.h"
#include "support/cuda.h"

namespace plimsoll::kernels::gemv {
namespace {

using quant::Matrix;
using quant::WeightFormat;

constexpr WeightFormat kFormats[] = {WeightFormat::fp16, WeightFormat::bf16,   WeightFormat::fp8,
                                     WeightFormat::int8, WeightFormat::nf4,    WeightFormat::nf4_dq,
                                     WeightFormat::fp4,  WeightFormat::fp4_dq, WeightFormat::log4};

bool is_int8(const Matrix& w) {
  return w.format == WeightFormat::int8;
}

// Levels that are whole units of the packed table, so that no rounding of levels blurs the
// comparison with the oracle.
void round_levels(Matrix& w) {
  if (!w.table.defined()) return;
  for (float& level : w.table.span<float>()) level = std::nearbyint(level * 125) / 126;
  w.table.data<float>()[3] = 1;
}

Matrix make_matrix(WeightFormat format, std::int64_t rows, std::int64_t columns,
                   std::uint64_t seed) {
  Matrix w;
  if (quant::is_dense(format)) {
    w.format = format;
    w.rows = rows;
    w.columns = columns;
    w.codes =
        converted(Tensor::from<float>(cases::random_values(rows * columns, seed), {rows, columns}),
                  quant::dense_dtype(format));
  } else {
    w = cases::random_matrix(format, rows, columns, {.seed = seed});
    round_levels(w);
  }
  return w;
}

void run_oracle(const LinearArgs& args) {
  switch (args.weight->format) {
    case WeightFormat::fp16:
    case WeightFormat::bf16:
      return gemm_dense_ref(args);
    case WeightFormat::fp8:
      return gemm_fp8_scalar(args);
    case WeightFormat::int8:
      return gemm_int8_scalar(args);
    default:
      return gemm_table4_scalar(args);
  }
}

struct Case {
  int rows = 1;
  Order order;
  Epilogue epilogue = Epilogue::store;
  bool norm = false;
  bool bias = false;
  bool dependent = true;
};

// How far output i may be off: sums of n products in fp32, in whatever order and however the tensor
// cores round, within 2 n 2^-24 sum |x w|; and what the format's contract says of x, as a share of
// x (16 bits) or of the largest of its block of 64.
std::vector<float> bounds_of(const LinearArgs& args, bool normed) {
  const Matrix& w = *args.weight;
  const Tensor decoded = quant::decode(w);
  // x that came from norm() is in full precision; the others are exact in 16 bits.
  const double of_x = !normed ? 0 : w.format == WeightFormat::bf16 ? 0x1p-8 : 0x1p-11;
  const bool blocks = w.table.defined();
  std::vector<float> bounds;
  bounds.reserve(static_cast<std::size_t>(args.rows * w.rows));
  for (std::int64_t r = 0; r < args.rows; ++r) {
    for (std::int64_t n = 0; n < w.rows; ++n) {
      double sum = 0;
      double blurred = 0;
      for (std::int64_t k = 0; k < w.columns; ++k) {
        const float* x = args.x + r * w.columns;
        const double weight = std::fabs(decoded.data<float>()[n * w.columns + k]);
        sum += std::fabs(x[k]) * weight;
        if (!blocks) continue;
        double largest = 0;
        for (std::int64_t i = k / 64 * 64; i < k / 64 * 64 + 64; ++i)
          largest = std::max<double>(largest, std::fabs(x[i]));
        blurred += 0.51 / 32639 * largest * weight;
      }
      const double unit = (static_cast<double>(w.columns) + 64) * 0x1p-23;
      bounds.push_back(static_cast<float>(sum * (unit + (blocks ? 0 : of_x)) + blurred));
    }
  }
  return bounds;
}

// x exact in f16 and bf16, some of it outliers.
std::vector<float> make_x(std::int64_t count, std::uint64_t seed) {
  std::vector<float> x = cases::random_values(count, seed);
  for (std::size_t i = 0; i < x.size(); ++i) {
    x[i] = to_float(to_bf16(i % 41 == 7 ? x[i] * 9 : x[i]));
  }
  return x;
}

std::vector<float> run_on_gpu(const Matrix& w, const Case& c, std::span<const float> x,
                              std::span<const float> norm, std::span<const float> bias,
                              std::span<const float> before) {
  const std::vector<const Matrix*> parts{&w};
  const Support support = can_pack(parts, c.order);
  EXPECT_TRUE(support) << support.reason;
  const UploadedWeights weights(pack(parts, c.order), "a test");
  const cuda::Buffer x_buffer = cuda::Buffer::of(x, "a test");
  const cuda::Buffer norm_buffer = cuda::Buffer::of(norm, "a test");
  const cuda::Buffer bias_buffer = cuda::Buffer::of(bias, "a test");
  const cuda::Buffer y = cuda::Buffer::of(before, "a test");
  Args args;
  args.weights = &weights.view();
  args.x = x_buffer.data<float>();
  args.rows = c.rows;
  args.norm = norm_buffer.data<float>();
  args.epsilon = 1e-5f;
  args.bias = bias_buffer.data<float>();
  args.epilogue = c.epilogue;
  args.y = y.data<float>();
  args.dependent = c.dependent;
  const cuda::Stream stream;
  run(args, stream.get());
  stream.synchronize();
  std::vector<float> result(before.size());
  y.download(result.data(), result.size() * 4, 0);
  return result;
}

void expect_oracle(const Matrix& w, const Case& c) {
  const auto size = static_cast<std::size_t>(c.rows * w.rows);
  std::vector<float> x = make_x(c.rows * w.columns, 77 + c.rows);
  if (c.norm) {
    for (float& value : x) value *= 0x1p-9f;  // small enough that epsilon counts
  }
  std::vector<float> norm;
  std::vector<float> normed = x;
  if (c.norm) {
    norm = cases::random_values(w.columns, 3);
    NormArgs args{x.data(), c.rows, w.columns, norm.data(), nullptr, 1e-5f, normed.data()};
    rms_norm_ref(args);
  }
  std::vector<float> bias;
  if (c.bias) bias = cases::random_values(w.rows, 4);
  std::vector<float> expected(size);
  const LinearArgs oracle{normed.data(), c.rows, &w, expected.data()};
  run_oracle(oracle);
  std::vector<float> bounds = bounds_of(oracle, c.norm);
  // Without a norm x is the oracle's to the bit, so int8's integer sums are too; outliers are
  // summed in fp32.
  if (is_int8(w) && !c.norm && w.outlier_threshold == 0) bounds.assign(size, 0.0f);
  // A norm's last bit may turn a code: one step of the token's absmax in 127, of some columns.
  if (is_int8(w) && c.norm) {
    for (float& bound : bounds) bound += 1e-3f * bound / (static_cast<float>(w.columns) * 0x1p-23f);
  }
  const bool swiglu = c.epilogue == Epilogue::swiglu;
  std::vector<float> before(swiglu ? size / 2 : size, std::numeric_limits<float>::quiet_NaN());
  if (c.epilogue == Epilogue::add) before = cases::random_values(c.rows * w.rows, 6);
  const std::vector<float> actual = run_on_gpu(w, c, x, norm, bias, before);

  for (std::size_t i = 0; i < size; ++i) {
    if (c.bias) {
      expected[i] += bias[i % static_cast<std::size_t>(w.rows)];
      bounds[i] += 0x1p-22f * std::fabs(expected[i]);
    }
    if (c.epilogue == Epilogue::add) {
      expected[i] += before[i];
      bounds[i] += 0x1p-22f * std::fabs(expected[i]) + 0x1p-22f * std::fabs(before[i]);
    }
  }
  const auto half = static_cast<std::size_t>(w.rows / 2);
  for (std::size_t i = 0; i < actual.size(); ++i) {
    float value = expected[i];
    float bound = bounds[i];
    if (swiglu) {
      const std::size_t at = i / half * 2 * half + i % half;
      const float gate = expected[at];
      const float up = expected[at + half];
      const float silu = gate / (1 + std::exp(-gate));
      value = silu * up;
      // silu's slope is below 1.1; __expf(x) is within 2^-21 (1 + |x|).
      bound = 1.1f * bounds[at] * (std::fabs(up) + bounds[at + half]) +
              std::fabs(silu) * bounds[at + half] +
              0x1p-20f * (1 + std::fabs(gate)) * std::fabs(value) + 1e-30f;
    }
    ASSERT_LE(std::fabs(actual[i] - value), bound)  // false for NaN: what was not written
        << quant::format_name(w.format) << " [" << w.rows << ", " << w.columns << "] x " << c.rows
        << ": output " << i << " is " << actual[i] << ", expected " << value;
  }
}

Order plain(const Matrix& w) {
  return {Pairing::none, 0, w.rows};
}

TEST(GemvCuda, EveryFormatAndNumberOfRows) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const WeightFormat format : kFormats) {
    const Matrix w = make_matrix(format, 83, 448, 1);
    for (const int rows : {1, 2, 3, 4, 5, 8, 9, 16}) expect_oracle(w, {rows, plain(w)});
  }
}

TEST(GemvCuda, ShapesOnBothSidesOfEveryBorder) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const WeightFormat format : kFormats) {
    // One chunk, fewer chunks than warps, more tiles than multiprocessors, columns that are staged
    // in parts, rows that share nested scales.
    const std::int64_t shapes[][2] = {{1, 64}, {16, 64}, {17, 128}, {4700, 64}, {40, 4096}};
    for (const auto& shape : shapes) {
      const Matrix w = make_matrix(format, shape[0], shape[1], 2);
      expect_oracle(w, {1, plain(w)});
      expect_oracle(w, {3, plain(w)});
    }
    const Matrix wide = make_matrix(format, 20, 16384, 3);
    expect_oracle(wide, {1, plain(wide)});
    expect_oracle(wide, {16, plain(wide)});
  }
}

TEST(GemvCuda, OutliersGoTheSixteenBitWay) {
  PLIMSOLL_GPU_OR_SKIP();
  Matrix w = make_matrix(WeightFormat::int8, 100, 512, 4);
  w.outlier_threshold = 6;
  for (const DType dtype : {DType::f16, DType::bf16}) {
    w.source_dtype = dtype;
    for (const int rows : {1, 3, 9, 16}) expect_oracle(w, {rows, plain(w)});
  }
}

TEST(GemvCuda, NormBiasResidualAndSwiglu) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const WeightFormat format : kFormats) {
    const Matrix w = make_matrix(format, 96, 768, 5);
    for (const int rows : {1, 4, 7}) {
      expect_oracle(w, {rows, plain(w), Epilogue::store, true, true});
      expect_oracle(w, {rows, plain(w), Epilogue::add, false, true});
      expect_oracle(w, {rows, {Pairing::heads, 32, 96}, Epilogue::store, true, false});
      expect_oracle(w, {rows, {Pairing::halves, 0, 96}, Epilogue::swiglu, false, false});
    }
  }
}

TEST(GemvCuda, NeitherTheLaunchNorOtherRowsChangeABit) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const WeightFormat format : kFormats) {
    const Matrix w = make_matrix(format, 333, 1024, 6);
    const auto size = static_cast<std::size_t>(w.rows);
    const std::vector<float> x = make_x(2 * w.columns, 8);
    const std::vector<float> poison(2 * size, std::numeric_limits<float>::quiet_NaN());
    Case c{2, plain(w)};
    const std::vector<float> first = run_on_gpu(w, c, x, {}, {}, poison);
    c.dependent = false;
    EXPECT_EQ(first, run_on_gpu(w, c, x, {}, {}, poison)) << quant::format_name(format);
    c.rows = 1;
    const auto one = std::span(x).first(static_cast<std::size_t>(w.columns));
    const std::vector<float> alone = run_on_gpu(w, c, one, {}, {}, std::span(poison).first(size));
    EXPECT_TRUE(std::equal(alone.begin(), alone.end(), first.begin()))
        << quant::format_name(format);
  }
}

// Each product reads what the one before wrote, and the blocks of few tiles leave room for the next
// kernel's at once: without its wait a kernel would read too early.
TEST(GemvCuda, AChainOfDependentLaunchesReadsWhatWasWritten) {
  PLIMSOLL_GPU_OR_SKIP();
  const Matrix w = make_matrix(WeightFormat::fp16, 512, 512, 9);
  const std::vector<const Matrix*> parts{&w};
  const UploadedWeights weights(pack(parts, plain(w)), "a test");
  const cuda::Buffer norm = cuda::Buffer::of<float>(std::vector<float>(512, 1.0f), "a test");
  const std::vector<float> start = make_x(512, 10);
  constexpr int kLinks = 40;
  std::vector<std::vector<float>> results;
  results.reserve(2);
  for (const bool dependent : {false, true}) {
    std::vector<cuda::Buffer> links;
    links.reserve(kLinks + 1);
    links.push_back(cuda::Buffer::of<float>(start, "a test"));
    for (int i = 0; i < kLinks; ++i) {
      links.emplace_back(start.size() * 4, "a test");
      links.back().fill(0);
    }
    const cuda::Stream stream;
    const cuda::Graph graph = cuda::Graph::capture(stream, [&] {
      for (std::size_t i = 0; i < kLinks; ++i) {
        Args args;
        args.weights = &weights.view();
        args.x = links[i].data<float>();
        args.rows = 1;
        args.norm = norm.data<float>();
        args.epsilon = 1e-5f;
        args.y = links[i + 1].data<float>();
        args.dependent = dependent;
        run(args, stream.get());
      }
    });
    graph.launch(stream);
    stream.synchronize();
    results.emplace_back(start.size());
    links.back().download(results.back().data(), start.size() * 4, 0);
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_GT(std::fabs(results[0][0]), 0);
}

TEST(GemvCuda, RefusesWhatItCannotDo) {
  PLIMSOLL_GPU_OR_SKIP();
  const Matrix w = make_matrix(WeightFormat::fp16, 32, 64, 7);
  const std::vector<const Matrix*> parts{&w};
  const UploadedWeights weights(pack(parts, plain(w)), "a test");
  Args args;
  args.weights = &weights.view();
  args.rows = 17;
  EXPECT_EQ(supports(args).reason, "17 rows, up to 16 are possible");
  args.rows = 1;
  args.epilogue = Epilogue::swiglu;
  EXPECT_FALSE(supports(args));
}

}  // namespace
}  // namespace plimsoll::kernels::gemv
