// Decode products at Mistral-7B's shapes: each verified against its oracle, then a chain of 32
// layers' products as one graph of dependent launches. Prints GB/s by the format's own bytes and
// their share of the copy bandwidth of the same process.
//
// usage: kernels_cuda_bench [FORMAT...]     fp16 bf16 fp8 int8 int8-dynamic nf4 nf4-dq int4
//        kernels_cuda_bench attention       attention and the token's choice instead
//        kernels_cuda_bench prefill         attention of prompts alone, flash and eager
//        kernels_cuda_bench rows [FORMAT...] products of 16, 64 and 256 rows over cuBLAS's (nf4-dq)
#include <cmath>
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "core/cuda/cublas_cuda.h"
#include "core/cuda/device.h"
#include "kernels/attention/attention_cuda_bench.h"
#include "kernels/attention_training/training_cuda_bench.h"
#include "kernels/cuda/graph_timing_cuda.h"
#include "kernels/gemm_dense/gemm_dense.h"
#include "kernels/gemm_fp8/gemm_fp8_ref.h"
#include "kernels/gemm_int4/gemm_int4_ref.h"
#include "kernels/gemm_int8/gemm_int8_ref.h"
#include "kernels/gemm_table4/gemm_table4_ref.h"
#include "kernels/gemv/gemv_cuda.h"
#include "kernels/product/product_cuda.h"
#include "kernels/product/product_cuda_bench.h"
#include "kernels/tile_fma/quantised_cases.h"
#include "quant/block4.h"

namespace plimsoll::kernels::gemv {
namespace {

using quant::Matrix;
using quant::WeightFormat;

constexpr std::int64_t kWidth = 4096;
constexpr std::int64_t kHidden = 14336;
constexpr int kLayers = 32;

// Random codes at once: drawing 10^8 normals would take longer than all measurements.
Matrix make_matrix(WeightFormat format, std::int64_t rows, std::int64_t columns) {
  if (!quant::is_dense(format)) {
    Matrix w = cases::random_matrix(format, rows, columns);
    if (w.table.defined()) {
      const auto levels = quant::block4_levels(format);
      w.table = Tensor::from<float>(levels, {16});
    }
    // Outputs of the size of a model's, or everything would be an outlier.
    w.nested_offset *= 0.03f;
    for (Tensor* scales : {&w.scales, &w.nested_scales}) {
      if (!scales->defined() || scales->dtype() != DType::f32) continue;
      for (float& scale : scales->span<float>()) scale *= 0.03f;
    }
    if (format == WeightFormat::int4) {
      for (fp16& scale : w.scales.span<fp16>()) scale = to_fp16(to_float(scale) * 0.004f);
    }
    if (format == WeightFormat::int8) {
      for (float& scale : w.scales.span<float>()) scale *= 0.5f;
    }
    return w;
  }
  Matrix w;
  w.format = format;
  w.rows = rows;
  w.columns = columns;
  w.codes = Tensor::empty(quant::dense_dtype(format), {rows, columns});
  Rng rng(1);
  auto* bits = reinterpret_cast<std::uint16_t*>(w.codes.raw());
  for (std::int64_t i = 0; i < rows * columns; ++i) {
    const auto value = static_cast<float>(static_cast<std::int16_t>(rng.next())) * 1e-6f;
    bits[i] = format == WeightFormat::fp16 ? to_fp16(value).bits : to_bf16(value).bits;
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
    case WeightFormat::int8: {  // activations stay in 16 bits
      const Matrix decoded = cases::decoded_matrix(*args.weight);
      LinearArgs exact = args;
      exact.weight = &decoded;
      return gemm_dense_ref(exact);
    }
    case WeightFormat::int8_dynamic:
      return gemm_int8_scalar(args);
    case WeightFormat::int4:
      return gemm_int4_scalar(args);
    default:
      return gemm_table4_scalar(args);
  }
}

// Root mean square of the difference over that of the oracle's outputs: the larger one of a row
// alone and of the last row of 16.
double difference(const Matrix& w, const DeviceWeights& weights, const cuda::Buffer& scratch) {
  std::vector<float> x = cases::random_values(w.columns, 2);
  for (float& value : x) value = to_float(to_bf16(value));
  std::vector<float> expected(static_cast<std::size_t>(w.rows));
  run_oracle({x.data(), 1, &w, expected.data()});
  double worst = 0;
  for (const int rows : {1, 16}) {
    const auto before = static_cast<std::size_t>(rows - 1);
    std::vector<float> all(before * x.size(), 0.5f);
    all.insert(all.end(), x.begin(), x.end());
    const cuda::Buffer input = cuda::Buffer::of<float>(all, "the benchmark");
    cuda::Buffer output((before + 1) * expected.size() * 4, "the benchmark");
    output.fill(0xff);  // NaN
    Args args;
    args.weights = &weights;
    args.x = input.data<float>();
    args.rows = rows;
    args.y = output.data<float>();
    args.scratch = scratch.data();
    const cuda::Stream stream;
    run(args, stream.get());
    stream.synchronize();
    std::vector<float> actual(expected.size());
    output.download(actual.data(), actual.size() * 4, before * actual.size() * 4);
    double error = 0;
    double size = 0;
    for (std::size_t i = 0; i < actual.size(); ++i) {
      error += std::pow(static_cast<double>(actual[i]) - expected[i], 2);
      size += std::pow(expected[i], 2);
    }
    if (!(std::sqrt(error / size) < worst)) worst = std::sqrt(error / size);  // NaN too
  }
  return worst;
}

// What the formats' arithmetic explains: bf16's rounding of x is taken off by the choice of x.
bool close_enough(const Matrix& w, double error) {
  if (w.table.defined()) return error < 8e-3;                     // levels are rounded to 1/126
  return error < (w.format == WeightFormat::int4 ? 1e-4 : 1e-5);  // 15-bit activations
}

struct Shape {
  const char* name;
  std::int64_t rows, columns;
  Order order;
  int copies;
};

const Shape kShapes[] = {
    {"qkv", 6144, kWidth, {Pairing::heads, 128, 6144}, kLayers},
    {"o", kWidth, kWidth, {Pairing::none, 0, kWidth}, kLayers},
    {"gate-up", 2 * kHidden, kWidth, {Pairing::halves, 0, 2 * kHidden}, kLayers},
    {"down", kWidth, kHidden, {Pairing::none, 0, kWidth}, kLayers},
    {"head", 32000, kWidth, {Pairing::none, 0, 32000}, 1},
};

struct Chain {
  std::vector<std::vector<UploadedWeights>> weights{5};
  double bytes[5] = {};  // of one, as the format counts them
  cuda::Buffer residual, norm, wide, hidden, logits, scratch;
};

Args args_of(const Chain& chain, std::size_t shape, std::size_t layer, int rows, bool dependent) {
  Args args;
  args.weights = &chain.weights[shape][layer].view();
  args.rows = rows;
  args.dependent = dependent;
  args.epsilon = 1e-5f;
  const auto* residual = chain.residual.data<float>();
  const bool normed = shape == 0 || shape == 2 || shape == 4;
  args.norm = normed ? chain.norm.data<float>() : nullptr;
  args.x = normed ? residual : shape == 1 ? chain.wide.data<float>() : chain.hidden.data<float>();
  args.y = shape == 0   ? chain.wide.data<float>()
           : shape == 2 ? chain.hidden.data<float>()
           : shape == 4 ? chain.logits.data<float>()
                        : chain.residual.data<float>();
  args.scratch = chain.scratch.data();
  args.epilogue = shape == 2                 ? Epilogue::swiglu
                  : shape == 1 || shape == 3 ? Epilogue::add
                                             : Epilogue::store;
  return args;
}

void print(const std::string& what, const GraphTiming& timing, double bytes, double ceiling) {
  print_timing(what, timing, bytes * 1e-9, "GB/s", ceiling);
}

void bench_chain(const Chain& chain, const std::string& what, int rows, bool dependent,
                 double ceiling) {
  const cuda::Stream stream;
  double bytes = chain.bytes[4];
  for (std::size_t shape = 0; shape < 4; ++shape) bytes += kLayers * chain.bytes[shape];
  print(what,
        time_graph(stream,
                   [&] {
                     for (std::size_t layer = 0; layer < kLayers; ++layer) {
                       for (std::size_t shape = 0; shape < 4; ++shape) {
                         product::run({args_of(chain, shape, layer, rows, dependent)},
                                      stream.get());
                       }
                     }
                     product::run({args_of(chain, 4, 0, rows, dependent)}, stream.get());
                   }),
        bytes, ceiling);
}

void bench_format(WeightFormat format, double ceiling) {
  std::printf("%s\n", std::string(quant::format_name(format)).c_str());
  constexpr std::int64_t kRows = 512;
  Chain chain;
  chain.wide = cuda::Buffer(kRows * 6144 * 4, "the benchmark");
  chain.hidden = cuda::Buffer(kRows * kHidden * 4, "the benchmark");
  chain.logits = cuda::Buffer(kRows * 32000 * 4, "the benchmark");
  chain.residual =
      cuda::Buffer::of<float>(cases::random_values(kRows * kWidth, 7), "the benchmark");
  chain.norm = cuda::Buffer::of<float>(std::vector<float>(kWidth, 1.0f), "the benchmark");
  chain.wide.fill(0);
  chain.hidden.fill(0);
  for (std::size_t i = 0; i < 5; ++i) {
    const Shape& shape = kShapes[i];
    Matrix w = make_matrix(format, shape.rows, shape.columns);
    const std::vector<const Matrix*> parts{&w};
    if (format == WeightFormat::int8) w.outlier_threshold = 6;
    chain.bytes[i] = static_cast<double>(quant::matrix_bytes(w));
    chain.weights[i].reserve(static_cast<std::size_t>(shape.copies));
    chain.weights[i].emplace_back(pack(parts, shape.order), "the benchmark");
    const DeviceWeights& first = chain.weights[i][0].view();
    if (const std::size_t bytes = product::workspace_bytes(first, kRows);
        bytes > chain.scratch.bytes()) {
      chain.scratch = cuda::Buffer(bytes, "the benchmark");
    }
    const double error = difference(w, first, chain.scratch);
    std::printf("  %-8s differs from the oracle by %.1e\n", shape.name, error);
    if (!close_enough(w, error)) {
      std::printf("  NOT TIMED\n");
      return;
    }
    for (int copy = 1; copy < shape.copies; ++copy) {
      chain.weights[i].push_back(chain.weights[i][0].clone("the benchmark"));
    }
  }
  bench_chain(chain, "32 layers and the head", 1, true, ceiling);
  bench_chain(chain, "the same, each launch after the last", 1, false, ceiling);
  for (std::size_t shape = 0; shape < 4; ++shape) {
    const cuda::Stream stream;
    print(std::string("only ") + kShapes[shape].name,
          time_graph(stream,
                     [&] {
                       for (std::size_t layer = 0; layer < kLayers; ++layer) {
                         run(args_of(chain, shape, layer, 1, true), stream.get());
                       }
                     }),
          kLayers * chain.bytes[shape], ceiling);
  }
  for (const int rows : {2, 4, 8, 16, 32, 64, 65, 512}) {
    bench_chain(chain, std::to_string(rows) + " rows", rows, true, ceiling);
  }
  if (format == WeightFormat::int8) {
    // One column in 200 beyond the threshold, in every product that a norm precedes.
    std::vector<float> norm(kWidth, 1.0f);
    for (std::size_t c = 7; c < norm.size(); c += 200) norm[c] = 40;
    chain.norm.upload(norm.data(), norm.size() * 4, 0);
    bench_chain(chain, "with outliers", 1, true, ceiling);
  }
}

int bench(int count, char** names) {
  if (const Support gpu = cuda::available(); !gpu) {
    std::printf("no GPU: %s\n", gpu.reason.c_str());
    return 0;
  }
  const double ceiling = cuda::copy_bandwidth();
  std::printf("%s: copy %.1f GB/s, cuBLAS f16 %.1f TFLOP/s; GB/s and share of the copy\n",
              cuda::devices()[0].name.c_str(), ceiling, cuda::cublas_rate());
  const std::string_view first = count > 1 ? names[1] : "";
  if (first == "attention" || first == "prefill")
    return bench_attention(ceiling, first == "prefill");
  if (first == "training") return bench_training(ceiling);
  std::vector<WeightFormat> formats{WeightFormat::fp16, WeightFormat::int8, WeightFormat::nf4_dq,
                                    WeightFormat::nf4,  WeightFormat::int4, WeightFormat::fp8};
  const bool many_rows = first == "rows";
  if (count > 1) formats.clear();
  formats.reserve(static_cast<std::size_t>(count) + 5);
  for (int i = many_rows ? 2 : 1; i < count; ++i)
    formats.push_back(quant::format_from_name(names[i], "the format"));
  if (many_rows) {
    if (formats.empty()) formats.push_back(WeightFormat::nf4_dq);
    bench_many_rows(formats);
    return 0;
  }
  for (const WeightFormat format : formats) bench_format(format, ceiling);
  return 0;
}

}  // namespace
}  // namespace plimsoll::kernels::gemv

int main(int count, char** names) {
  try {
    return plimsoll::kernels::gemv::bench(count, names);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "kernels_cuda_bench: %s\n", error.what());
    return 1;
  }
}
