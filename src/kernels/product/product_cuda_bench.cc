// Products of many rows by whatever product::run() chooses, over cuBLAS's of as many rows with
// fp16 weights in the same process. Weights lie as often as no cache holds them.
#include "kernels/product/product_cuda_bench.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include "core/cuda/cublas_cuda.h"
#include "kernels/cuda/graph_timing_cuda.h"
#include "kernels/product/product_cuda.h"
#include "kernels/tile_fma/quantised_cases.h"

namespace plimsoll::kernels {
namespace {

using gemv::DeviceWeights;
using gemv::Epilogue;
using gemv::Order;
using gemv::Pairing;

constexpr std::int64_t kMostRows = 256;
constexpr std::int64_t kWidth = 4096;
constexpr std::int64_t kHidden = 14336;
constexpr std::int64_t kBytes = std::int64_t{400} << 20;  // of the copies of a matrix: no cache
constexpr int kLaunches = 16;                             // of a graph

struct Shape {
  const char* name;
  std::int64_t rows, columns;
  Order order;
  bool normed;
  Epilogue epilogue;
};
const Shape kShapes[] = {
    {"qkv", 6144, kWidth, {Pairing::heads, 128, 6144}, true, Epilogue::store},
    {"o", kWidth, kWidth, {Pairing::none, 0, kWidth}, false, Epilogue::add},
    {"gate-up", 2 * kHidden, kWidth, {Pairing::halves, 0, 2 * kHidden}, true, Epilogue::swiglu},
    {"down", kWidth, kHidden, {Pairing::none, 0, kWidth}, false, Epilogue::add},
};

struct Buffers {
  cuda::Buffer x = cuda::Buffer::of<float>(cases::random_values(kMostRows * kHidden, 2), "x");
  cuda::Buffer x16 = cuda::Buffer::of<float>(cases::random_values(kMostRows * kHidden / 2, 3), "x");
  cuda::Buffer norm = cuda::Buffer::of<float>(std::vector<float>(kHidden, 1.0f), "a norm");
  cuda::Buffer y{kMostRows * 2 * kHidden * sizeof(float), "y"};
  cuda::Buffer dense{static_cast<std::size_t>(kBytes), "fp16 weights"};
  cuda::Buffer workspace{cuda::kMatmulWorkspace, "cuBLAS"};
  cuda::Buffer scratch;
};

product::Args args_of(const Buffers& buffers, const Shape& shape, const DeviceWeights& weights,
                      int rows) {
  product::Args args;
  args.weights = &weights;
  args.x = buffers.x.data<float>();
  args.rows = rows;
  args.norm = shape.normed ? buffers.norm.data<float>() : nullptr;
  args.epsilon = 1e-5f;
  args.epilogue = shape.epilogue;
  args.y = buffers.y.data<float>();
  args.scratch = buffers.scratch.data();
  return args;
}

/// Root mean square of the difference of the last row from the kernel of one row, over that of its
/// outputs, without an epilogue.
double difference(Buffers& buffers, const Shape& shape, const DeviceWeights& weights, int rows) {
  const cuda::Stream stream;
  product::Args args = args_of(buffers, shape, weights, rows);
  args.epilogue = Epilogue::store;
  const auto outputs = static_cast<std::size_t>(shape.rows);
  std::vector<float> many(outputs);
  std::vector<float> one(outputs);
  buffers.y.fill(0xff);  // NaN
  product::run(args, stream.get());
  stream.synchronize();
  const auto before = static_cast<std::size_t>(rows - 1);
  buffers.y.download(many.data(), outputs * sizeof(float), before * outputs * sizeof(float));
  args.x += before * static_cast<std::size_t>(shape.columns);
  args.rows = 1;
  product::run(args, stream.get());
  stream.synchronize();
  buffers.y.download(one.data(), outputs * sizeof(float), 0);
  double error = 0;
  double size = 0;
  for (std::size_t i = 0; i < outputs; ++i) {
    error += std::pow(static_cast<double>(many[i]) - one[i], 2);
    size += std::pow(one[i], 2);
  }
  return std::sqrt(error / size);
}

void bench_shape(Buffers& buffers, const Shape& shape, quant::WeightFormat format,
                 double (&sums)[3][2]) {
  const quant::Matrix w = cases::random_matrix(format, shape.rows, shape.columns);
  const std::vector<const quant::Matrix*> parts{&w};
  std::vector<gemv::UploadedWeights> copies;
  const auto count = static_cast<std::size_t>(std::clamp<std::int64_t>(
      kBytes / static_cast<std::int64_t>(quant::matrix_bytes(w)), 2, kLaunches));
  copies.reserve(count);
  copies.emplace_back(gemv::pack(parts, shape.order), "the benchmark");
  while (copies.size() < count) copies.push_back(copies[0].clone("the benchmark"));
  buffers.scratch =
      cuda::Buffer(product::workspace_bytes(copies[0].view(), kMostRows), "the benchmark");
  const std::int64_t bytes = shape.rows * shape.columns * 2;
  const std::int64_t dense_copies = std::max<std::int64_t>(kBytes / bytes, 1);
  const cuda::Stream stream;
  for (std::size_t i = 0; i < 3; ++i) {
    const int rows = i == 0 ? 16 : i == 1 ? 64 : 256;
    const double error = difference(buffers, shape, copies[0].view(), rows);
    const GraphTiming ours = time_graph(stream, [&] {
      for (std::size_t launch = 0; launch < kLaunches; ++launch)
        product::run(args_of(buffers, shape, copies[launch % count].view(), rows), stream.get());
    });
    const GraphTiming theirs = time_graph(stream, [&] {
      for (std::int64_t launch = 0; launch < kLaunches; ++launch) {
        cuda::MatmulArgs matmul;
        matmul.x = buffers.x16.data();
        matmul.w = buffers.dense.data() + launch % dense_copies * bytes;
        matmul.y = buffers.y.data<float>();
        matmul.m = rows;
        matmul.n = shape.rows;
        matmul.k = shape.columns;
        matmul.workspace = buffers.workspace.data();
        cuda::matmul(matmul, stream.get());
      }
    });
    sums[i][0] += ours.median / kLaunches;
    sums[i][1] += theirs.median / kLaunches;
    std::printf(
        "  %-8s %3d rows %8.1f us +-%4.1f %%  cuBLAS fp16 %8.1f us +-%4.1f %%  %.2f  (%.1e)\n",
        shape.name, rows, ours.median / kLaunches * 1e6, ours.spread * 100,
        theirs.median / kLaunches * 1e6, theirs.spread * 100, theirs.median / ours.median, error);
    std::fflush(stdout);
  }
}

}  // namespace

void bench_many_rows(std::span<const quant::WeightFormat> formats) {
  Buffers buffers;
  std::vector<fp16> values(static_cast<std::size_t>(kBytes) / sizeof(fp16));
  Rng rng(1);
  for (fp16& value : values)
    value = to_fp16(static_cast<float>(static_cast<std::int16_t>(rng.next())) * 1e-6f);
  buffers.dense.upload(values.data(), values.size() * sizeof(fp16), 0);
  for (const quant::WeightFormat format : formats) {
    std::printf("%s: us a product; cuBLAS's time over it; in brackets, off from one row's kernel\n",
                std::string(quant::format_name(format)).c_str());
    double sums[3][2] = {};
    for (const Shape& shape : kShapes) bench_shape(buffers, shape, format, sums);
    for (std::size_t i = 0; i < 3; ++i) {
      std::printf("  all four %3d rows %8.1f us, cuBLAS fp16 %8.1f us  %.2f\n",
                  i == 0   ? 16
                  : i == 1 ? 64
                           : 256,
                  sums[i][0] * 1e6, sums[i][1] * 1e6, sums[i][1] / sums[i][0]);
    }
  }
}

}  // namespace plimsoll::kernels
