// Products on a GPU against the CPU's oracles. For tests only.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/gemm_dense/gemm_dense.h"
#include "kernels/gemm_fp8/gemm_fp8_ref.h"
#include "kernels/gemm_int4/gemm_int4_ref.h"
#include "kernels/gemm_int8/gemm_int8_ref.h"
#include "kernels/gemm_table4/gemm_table4_ref.h"
#include "kernels/gemv/gemv_cuda.h"
#include "kernels/layer_norm/layer_norm.h"
#include "kernels/tile_fma/quantised_cases.h"

namespace plimsoll::kernels::gemv {

using quant::Matrix;
using quant::WeightFormat;

constexpr WeightFormat kFormats[] = {
    WeightFormat::fp32, WeightFormat::fp16,        WeightFormat::bf16,        WeightFormat::fp8,
    WeightFormat::int8, WeightFormat::nf4,         WeightFormat::nf4_dq,      WeightFormat::fp4,
    WeightFormat::log4, WeightFormat::int4,        WeightFormat::int8_static, WeightFormat::fp4_dq,
    WeightFormat::gptq, WeightFormat::int8_dynamic};

// LLM.int8() keeps all activations in 16 bits while it keeps any.
inline bool has_int8_activations(const Matrix& w) {
  return w.format == WeightFormat::int8_dynamic || w.format == WeightFormat::int8_static ||
         (w.format == WeightFormat::int8 && w.outlier_threshold == 0);
}

inline bool is_grouped(const Matrix& w) {
  return w.format == WeightFormat::int4 || w.format == WeightFormat::gptq;
}

// Levels that are whole units of the packed table, so that no rounding of levels blurs the
// comparison with the oracle.
inline void round_levels(Matrix& w) {
  if (!w.table.defined()) return;
  for (float& level : w.table.span<float>()) level = std::nearbyint(level * 125) / 126;
  w.table.data<float>()[3] = 1;
}

inline Matrix make_matrix(WeightFormat format, std::int64_t rows, std::int64_t columns,
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
    // gptq stands for columns whose groups are scattered.
    const bool gptq = format == WeightFormat::gptq;
    const std::int64_t whole = format == WeightFormat::int4 || gptq ? (rows + 7) / 8 * 8 : rows;
    w = cases::random_matrix(format, whole, columns,
                             {.block = gptq ? 128 : 64, .shuffled_groups = gptq, .seed = seed});
    round_levels(w);
    w.input_scale = 0.03f;
    w.input_zero = 5;
    if (format == WeightFormat::int8) w.outlier_threshold = 6;
  }
  return w;
}

inline void run_oracle(const LinearArgs& args) {
  switch (args.weight->format) {
    case WeightFormat::fp32:
    case WeightFormat::fp16:
    case WeightFormat::bf16:
      return gemm_dense_ref(args);
    case WeightFormat::int4:
    case WeightFormat::gptq:
      return gemm_int4_scalar(args);
    case WeightFormat::fp8:
      return gemm_fp8_scalar(args);
    case WeightFormat::int8:
    case WeightFormat::int8_dynamic:
    case WeightFormat::int8_static: {
      if (has_int8_activations(*args.weight)) return gemm_int8_scalar(args);
      const Matrix decoded = cases::decoded_matrix(*args.weight);
      LinearArgs exact = args;
      exact.weight = &decoded;
      return gemm_dense_ref(exact);
    }
    default:
      return gemm_table4_scalar(args);
  }
}

enum class Norm : std::uint8_t { none, rms, layer };

struct Case {
  int rows = 1;
  Order order;
  Epilogue epilogue = Epilogue::store;
  Norm norm = Norm::none;
  bool bias = false;
  bool dependent = true;
  bool large = false;  // a value beyond f16's range in each other row, at its end
};

// For each column the largest magnitude that shares a scale with it: of its block of 64, or, of
// groups that may be any columns, of the row.
inline std::vector<float> block_largest(const Matrix& w, const float* x) {
  const std::int64_t block = is_grouped(w) ? w.columns : 64;
  std::vector<float> largest(static_cast<std::size_t>(w.columns));
  for (std::int64_t begin = 0; begin < w.columns; begin += block) {
    const std::int64_t end = std::min(begin + block, w.columns);
    float most = 0;
    for (std::int64_t k = begin; k < end; ++k) most = std::max(most, std::fabs(x[k]));
    std::fill(largest.begin() + begin, largest.begin() + end, most);
  }
  return largest;
}

// How far output i may be off: sums of n products in fp32, in whatever order and however the tensor
// cores round, within 2 n 2^-24 sum |x w|; what the format's contract says of x, as a share of
// x (16 bits) or of the largest of its block of 64; and of a row that is scaled to f16's range half
// of the smallest f16.
inline std::vector<float> bounds_of(const LinearArgs& args, bool normed) {
  const Matrix& w = *args.weight;
  const Tensor decoded = quant::decode(w);
  // x that came from norm() is in full precision; the others are exact in 16 bits.
  const double of_x = !normed                          ? 0
                      : w.format == WeightFormat::bf16 ? 0x1p-8
                      : w.format == WeightFormat::fp32 ? 0
                                                       : 0x1p-11;
  const bool blocks = w.table.defined() || is_grouped(w);
  // Codes are multiplied before their zero points come off: at most 15 times a scale of 1.01.
  const double code = is_grouped(w) ? 16 : 0;
  std::vector<float> bounds;
  bounds.reserve(static_cast<std::size_t>(args.rows * w.rows));
  for (std::int64_t r = 0; r < args.rows; ++r) {
    const std::vector<float> largest = block_largest(w, args.x + r * w.columns);
    const float beyond = *std::ranges::max_element(largest) / 32768;
    const double of_scaled = beyond < 2 ? 0 : 0x1p-25 * std::exp2(std::ceil(std::log2(beyond)));
    for (std::int64_t n = 0; n < w.rows; ++n) {
      double sum = 0;
      double blurred = 0;
      for (std::int64_t k = 0; k < w.columns; ++k) {
        const double weight = std::fabs(decoded.data<float>()[n * w.columns + k]);
        sum += std::fabs(args.x[r * w.columns + k]) * (weight + code);
        if (blocks) blurred += 0.51 / 32639 * largest[static_cast<std::size_t>(k)] * weight;
        blurred += of_scaled * weight;
      }
      const double unit = (static_cast<double>(w.columns) + 64) * 0x1p-23;
      bounds.push_back(static_cast<float>(sum * (unit + (blocks ? 0 : of_x)) + blurred));
    }
  }
  return bounds;
}

// x exact in f16 and bf16, some of it outliers.
inline std::vector<float> make_x(std::int64_t count, std::uint64_t seed) {
  std::vector<float> x = cases::random_values(count, seed);
  for (std::size_t i = 0; i < x.size(); ++i) {
    x[i] = to_float(to_bf16(i % 41 == 7 ? x[i] * 9 : x[i]));
  }
  return x;
}

inline std::vector<float> run_on_gpu(const Matrix& w, const Case& c, std::span<const float> x,
                                     std::span<const float> norm, std::span<const float> norm_bias,
                                     std::span<const float> bias, std::span<const float> before) {
  const std::vector<const Matrix*> parts{&w};
  const Support support = can_pack(parts, c.order);
  EXPECT_TRUE(support) << support.reason;
  const UploadedWeights weights(pack(parts, c.order), "a test");
  const cuda::Buffer x_buffer = cuda::Buffer::of(x, "a test");
  const cuda::Buffer norm_buffer = cuda::Buffer::of(norm, "a test");
  const cuda::Buffer norm_bias_buffer = cuda::Buffer::of(norm_bias, "a test");
  const cuda::Buffer bias_buffer = cuda::Buffer::of(bias, "a test");
  const cuda::Buffer y = cuda::Buffer::of(before, "a test");
  Args args;
  args.weights = &weights.view();
  args.x = x_buffer.data<float>();
  args.rows = c.rows;
  args.norm = norm_buffer.data<float>();
  args.norm_bias = norm_bias_buffer.data<float>();
  args.epsilon = 1e-5f;
  args.bias = bias_buffer.data<float>();
  args.epilogue = c.epilogue;
  args.y = y.data<float>();
  args.dependent = c.dependent;
  cuda::Buffer scratch(scratch_bytes(weights.view(), c.rows), "a test");
  scratch.fill(0xff);
  args.scratch = scratch.data();
  const cuda::Stream stream;
  run(args, stream.get());
  stream.synchronize();
  std::vector<float> result(before.size());
  y.download(result.data(), result.size() * 4, 0);
  return result;
}

// What an epilogue makes of a product that is within `bound` of `value`: the same of the result.
struct Within {
  float value, bound;
};

inline Within swiglu_of(Within gate, Within up) {
  const float silu = gate.value / (1 + std::exp(-gate.value));
  const float value = silu * up.value;
  // silu's slope is below 1.1; __expf(x) is within 2^-21 (1 + |x|).
  return {value, 1.1f * gate.bound * (std::fabs(up.value) + up.bound) + std::fabs(silu) * up.bound +
                     0x1p-20f * (1 + std::fabs(gate.value)) * std::fabs(value) + 1e-30f};
}

// GELU's slopes are below 1.2.
inline Within gelu_of(Within x, bool exact) {
  if (exact) {
    const float value = 0.5f * x.value * std::erfc(-x.value * 0.70710678f);
    return {value, 1.2f * x.bound + 0x1p-21f * std::fabs(x.value)};
  }
  const double cube = std::pow(static_cast<double>(x.value), 3);
  const double u = std::sqrt(2 / std::acos(-1.0)) * (x.value + 0.044715 * cube);
  const auto value = static_cast<float>(x.value / (1 + std::exp(-2 * u)));
  return {value, 1.2f * x.bound + 1e-30f +
                     0x1p-19f * (1 + static_cast<float>(std::fabs(u))) * std::fabs(value)};
}

inline void expect_oracle(const Matrix& w, const Case& c) {
  const auto size = static_cast<std::size_t>(c.rows * w.rows);
  std::vector<float> x = make_x(c.rows * w.columns, 77 + c.rows);
  for (std::int64_t r = 0; c.large && r < c.rows; r += 2)
    x[static_cast<std::size_t>((r + 1) * w.columns - 1)] = 0x1.8p24f;
  if (c.norm != Norm::none) {
    for (float& value : x) value *= 0x1p-9f;  // small enough that epsilon counts
  }
  std::vector<float> norm;
  std::vector<float> norm_bias;
  std::vector<float> normed = x;
  if (c.norm == Norm::layer) {
    for (float& value : x) value += 0x1p-8f;
    norm = cases::random_values(w.columns, 3);
    norm_bias = cases::random_values(w.columns, 5);
    layer_norm_ref(
        {x.data(), c.rows, w.columns, norm.data(), norm_bias.data(), 1e-5f, normed.data()});
  } else if (c.norm == Norm::rms) {
    norm = cases::random_values(w.columns, 3);
    rms_norm_ref({x.data(), c.rows, w.columns, norm.data(), nullptr, 1e-5f, normed.data()});
  }
  std::vector<float> bias;
  if (c.bias) bias = cases::random_values(w.rows, 4);
  std::vector<float> expected(size);
  const LinearArgs oracle{normed.data(), c.rows, &w, expected.data()};
  run_oracle(oracle);
  std::vector<float> bounds = bounds_of(oracle, c.norm != Norm::none);
  // Without a norm x is the oracle's to the bit, so int8's integer sums are too.
  const bool integers = has_int8_activations(w);
  if (integers && c.norm == Norm::none) bounds.assign(size, 0.0f);
  // A norm's last bit may turn a code: one step of the token's absmax in 127, of some columns.
  if (integers && c.norm != Norm::none) {
    for (float& bound : bounds) bound += 1e-3f * bound / (static_cast<float>(w.columns) * 0x1p-23f);
  }
  const bool swiglu = c.epilogue == Epilogue::swiglu;
  std::vector<float> before(swiglu ? size / 2 : size, std::numeric_limits<float>::quiet_NaN());
  if (c.epilogue == Epilogue::add) before = cases::random_values(c.rows * w.rows, 6);
  const std::vector<float> actual = run_on_gpu(w, c, x, norm, norm_bias, bias, before);

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
    Within of{expected[i], bounds[i]};
    if (swiglu) {
      const std::size_t at = i / half * 2 * half + i % half;
      of = swiglu_of({expected[at], bounds[at]}, {expected[at + half], bounds[at + half]});
    } else if (c.epilogue == Epilogue::gelu_tanh || c.epilogue == Epilogue::gelu_erf) {
      of = gelu_of(of, c.epilogue == Epilogue::gelu_erf);
    }
    ASSERT_LE(std::fabs(actual[i] - of.value), of.bound)  // false for NaN: what was not written
        << quant::format_name(w.format) << " [" << w.rows << ", " << w.columns << "] x " << c.rows
        << ": output " << i << " is " << actual[i] << ", expected " << of.value;
  }
}

inline Order plain(const Matrix& w) {
  return {Pairing::none, 0, w.rows};
}

}  // namespace plimsoll::kernels::gemv
