#include "kernels/gemm_packed/gemm_packed_cuda.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <tuple>
#include <vector>

#include "kernels/gemv/gemv_cuda_cases.h"
#include "support/cuda.h"

namespace plimsoll::kernels::gemm_packed {
namespace {

using gemv::Epilogue;
using quant::Matrix;
using quant::WeightFormat;

/// How far an output may be off. Roundings of x and w are independent, so that they add as squares:
/// seven standard deviations, at most, of what is left of the root of the sum of (x w)^2 where
/// roundings are a share of x, and of the largest x times the root of the sum of w^2 where they are
/// of one size.
struct Shares {
  double of_products = 0;
  double of_largest = 0;
};
Shares shares_of(const Matrix& w, Operand operand) {
  switch (operand) {
    case Operand::bf16:
      return {7 * 0x1p-9, 0};
    case Operand::e4m3:
      return {7 * 0x1p-4, 7 * 0x1p-10};
    case Operand::s8:  // what is beside an outlier is in f16
      return {w.outlier_threshold > 0 ? 7 * 0x1p-11 : 0, 7 * 0.29 / 127};
    default:
      return {(w.table.defined() ? 3 : 1) * 7 * 0x1p-11, 0};
  }
}

/// Where x has magnitudes at or over the weights' outlier threshold.
enum class Outliers : std::uint8_t { everywhere, few, none };

struct Case {
  int rows = 1;
  int tokens = 32;  // of a block
  int splits = 1;
  gemv::Order order;
  Epilogue epilogue = Epilogue::store;
  bool normed = false;
  bool sixteen = false;  // y16
  bool from_sixteen = false;
  Operand operand = Operand::f16;
  Outliers outliers = Outliers::everywhere;
};

// x exact in f16. Few outliers: in some columns of every third row.
std::vector<float> make_x(const Matrix& w, const Case& c) {
  std::vector<float> x = gemv::make_x(c.rows * w.columns, 12);
  if (c.outliers == Outliers::everywhere || w.outlier_threshold == 0) return x;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t row = i / static_cast<std::size_t>(w.columns);
    const std::size_t column = i % static_cast<std::size_t>(w.columns);
    if (std::fabs(x[i]) >= w.outlier_threshold) x[i] *= 0x1p-6f;
    if (c.outliers == Outliers::few && row % 3 == 1 && column % 97 == 5)
      x[i] = static_cast<float>(40 + column % 7);
  }
  return x;
}

void expect_product(const Matrix& w, const Case& c) {
  const std::vector<const Matrix*> parts{&w};
  const gemv::UploadedWeights weights(gemv::pack(parts, c.order), "a test");
  const char* why = "";
  ASSERT_TRUE(supports(weights.view(), c.operand, &why)) << quant::format_name(w.format) << why;
  const auto columns = static_cast<std::size_t>(w.columns);
  const auto outputs = static_cast<std::size_t>(w.rows);
  const auto rows = static_cast<std::size_t>(c.rows);
  const std::vector<float> x = make_x(w, c);
  const std::vector<float> norm(columns, 0.5f);
  const std::vector<float> bias = cases::random_values(w.rows, 13);
  const bool swiglu = c.epilogue == Epilogue::swiglu;
  const std::size_t width = swiglu ? outputs / 2 : outputs;
  std::vector<float> y(
      rows * width, c.epilogue == Epilogue::add ? 0.25f : std::numeric_limits<float>::quiet_NaN());
  std::vector<fp16> half_x;
  half_x.reserve(x.size());
  for (const float value : x) half_x.push_back(to_fp16(value));

  const cuda::Buffer x_buffer = cuda::Buffer::of<float>(x, "a test");
  const cuda::Buffer half_buffer = cuda::Buffer::of<fp16>(half_x, "a test");
  const cuda::Buffer norm_buffer = cuda::Buffer::of<float>(norm, "a test");
  const cuda::Buffer bias_buffer = cuda::Buffer::of<float>(bias, "a test");
  const cuda::Buffer y_buffer = cuda::Buffer::of<float>(y, "a test");
  cuda::Buffer scratch(gemm_packed::scratch_bytes(weights.view(), c.rows), "a test");
  scratch.fill(0xff);
  Args args;
  args.weights = &weights.view();
  args.operand = c.operand;
  args.x = x_buffer.data<float>();
  if (c.from_sixteen) args.x16 = half_buffer.data();
  args.rows = c.rows;
  args.norm = c.normed ? norm_buffer.data<float>() : nullptr;
  args.epsilon = 1e-5f;
  args.bias = bias_buffer.data<float>();
  args.epilogue = c.epilogue;
  args.y = y_buffer.data<float>();
  if (c.sixteen) args.y16 = y_buffer.data();
  args.scratch = scratch.data();
  const cuda::Stream stream;
  run_as(args, c.tokens, c.splits, stream.get());
  stream.synchronize();
  y_buffer.download(y.data(), y_buffer.bytes(), 0);
  std::vector<float> actual = y;
  if (c.sixteen) {
    const auto* halves = reinterpret_cast<const fp16*>(y.data());
    for (std::size_t i = 0; i < actual.size(); ++i) actual[i] = to_float(halves[i]);
  }

  const Tensor decoded = quant::decode(w);
  std::vector<float> input = x;
  if (c.normed)
    rms_norm_ref({x.data(), c.rows, w.columns, norm.data(), nullptr, 1e-5f, input.data()});
  const Shares shares = shares_of(w, c.operand);
  const auto product = [&](std::size_t row, std::size_t n) {
    double sum = bias[n];
    double squares = 0;
    double weights_squares = 0;
    double largest = 0;
    for (std::size_t k = 0; k < columns; ++k) {
      const double of_x = input[row * columns + k];
      const double of_w = decoded.data<float>()[n * columns + k];
      sum += of_x * of_w;
      squares += of_x * of_w * of_x * of_w;
      weights_squares += of_w * of_w;
      const bool outlier = w.outlier_threshold > 0 && std::fabs(of_x) >= w.outlier_threshold;
      if (!outlier) largest = std::max(largest, std::fabs(of_x));
    }
    return gemv::Within{
        static_cast<float>(sum),
        static_cast<float>(shares.of_products * std::sqrt(squares) +
                           shares.of_largest * largest * std::sqrt(weights_squares) + 1e-5)};
  };
  for (std::size_t i = 0; i<actual.size(); i += actual.size()> 8000 ? 97 : 1) {
    const std::size_t row = i / width;
    const std::size_t n = i % width;
    gemv::Within of = product(row, n);
    if (swiglu) of = gemv::swiglu_of(of, product(row, n + width));
    if (c.epilogue == Epilogue::gelu_tanh) of = gemv::gelu_of(of, false);
    if (c.epilogue == Epilogue::gelu_erf) of = gemv::gelu_of(of, true);
    if (c.epilogue == Epilogue::add) of.value += 0.25f;
    if (c.sixteen) of.bound += 0x1p-11f * std::fabs(of.value) + 0x1p-14f;
    ASSERT_LE(std::fabs(actual[i] - of.value), of.bound)
        << quant::format_name(w.format) << " " << c.rows << " rows, " << c.tokens << " a block, "
        << c.splits << " splits: output " << i << " is " << actual[i] << ", expected " << of.value;
  }
}

constexpr WeightFormat kSupported[] = {
    WeightFormat::fp16, WeightFormat::bf16, WeightFormat::fp8,    WeightFormat::int8,
    WeightFormat::nf4,  WeightFormat::fp4,  WeightFormat::nf4_dq, WeightFormat::fp4_dq,
    WeightFormat::log4, WeightFormat::int4, WeightFormat::gptq,   WeightFormat::int8_static};

Operand operand_of(const Matrix& w) {
  return w.format == WeightFormat::bf16 ? Operand::bf16 : Operand::f16;
}

TEST(GemmPackedCuda, EveryFormatAndDivision) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const WeightFormat format : kSupported) {
    Matrix w = gemv::make_matrix(format, 208, 512, 3);
    w.outlier_threshold = 0;
    Case c;
    c.order = gemv::plain(w);
    c.operand = operand_of(w);
    for (const auto& [rows, tokens, splits] :
         {std::array{1, 32, 1}, std::array{40, 32, 2}, std::array{70, 64, 4},
          std::array{130, 128, 1}, std::array{129, 128, 8}, std::array{300, 256, 1},
          std::array{257, 256, 2}}) {
      c.rows = rows;
      c.tokens = tokens;
      c.splits = splits;
      c.normed = !c.normed;
      expect_product(w, c);
    }
  }
}

// More tiles than multiprocessors, and an odd number of blocks of columns.
TEST(GemmPackedCuda, ManyTiles) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const auto& [format, operand, threshold] :
       {std::tuple{WeightFormat::fp16, Operand::f16, 0.0f},
        std::tuple{WeightFormat::nf4_dq, Operand::f16, 0.0f},
        std::tuple{WeightFormat::fp8, Operand::e4m3, 0.0f},
        std::tuple{WeightFormat::int8, Operand::s8, 0.0f},
        std::tuple{WeightFormat::int8, Operand::s8, 6.0f}}) {
    const std::int64_t columns = operand == Operand::f16 ? 192 : 384;
    Matrix w = gemv::make_matrix(format, 2064, columns, 3);
    w.outlier_threshold = threshold;
    Case c;
    c.order = gemv::plain(w);
    c.operand = operand;
    c.outliers = Outliers::few;
    for (const int tokens : {32, 64, 128, 256}) {
      c.rows = 20 * tokens + 5;
      c.tokens = tokens;
      expect_product(w, c);
    }
  }
}

// Columns that fill no whole stage of weights, and parts of a cluster that have none; tiles that
// fill no block; rows that fill none.
TEST(GemmPackedCuda, TablesWithOddColumnsAndParts) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const WeightFormat format : {WeightFormat::nf4, WeightFormat::nf4_dq}) {
    for (const std::int64_t columns : {64, 448, 1344, 2368}) {
      const Matrix w = gemv::make_matrix(format, 304, columns, 3);
      Case c;
      c.order = gemv::plain(w);
      for (const int tokens : {16, 32, 64, 128, 256}) {
        for (const int splits : {1, 3, 7}) {
          if (splits > columns / 64) continue;
          c.tokens = tokens;
          c.splits = splits;
          c.rows = splits == 3 ? tokens + 3 : tokens / 2 + splits;
          c.normed = splits == 7;
          expect_product(w, c);
        }
      }
    }
  }
}

TEST(GemmPackedCuda, EightBitOperands) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const auto& [format, operand] :
       {std::pair{WeightFormat::fp8, Operand::e4m3}, std::pair{WeightFormat::int8, Operand::s8}}) {
    Matrix w = gemv::make_matrix(format, 208, 512, 3);
    w.outlier_threshold = 0;
    Case c;
    c.order = gemv::plain(w);
    c.operand = operand;
    for (const int tokens : {32, 64, 128, 256}) {
      c.rows = tokens + 3;
      c.tokens = tokens;
      c.splits = tokens == 64 ? 4 : 1;
      expect_product(w, c);
    }
  }
}

// LLM.int8(): every division, tiles that share their tokens, odd numbers of stages.
TEST(GemmPackedCuda, OutliersStayInSixteenBits) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const std::int64_t columns : {384, 2176}) {
    Matrix w = gemv::make_matrix(WeightFormat::int8, 208, columns, 3);
    w.outlier_threshold = 6;
    Case c;
    c.order = gemv::plain(w);
    c.operand = Operand::s8;
    for (const Outliers outliers : {Outliers::none, Outliers::few, Outliers::everywhere}) {
      c.outliers = outliers;
      for (const auto& [rows, tokens, splits] :
           {std::array{17, 32, 1}, std::array{70, 32, 2}, std::array{70, 64, 3},
            std::array{129, 128, 1}, std::array{130, 128, 2}, std::array{300, 256, 1},
            std::array{257, 256, 3}}) {
        c.rows = rows;
        c.tokens = tokens;
        c.splits = splits;
        c.normed = outliers == Outliers::everywhere && !c.normed;
        c.from_sixteen = !c.normed && rows == 70;
        expect_product(w, c);
      }
    }
  }
}

// x W^T, nothing before it and nothing behind it.
std::vector<float> product_of(const Matrix& w, const std::vector<float>& x, Operand operand,
                              int tokens) {
  const std::vector<const Matrix*> parts{&w};
  const gemv::UploadedWeights weights(gemv::pack(parts, gemv::plain(w)), "a test");
  const auto rows = static_cast<std::int64_t>(x.size()) / w.columns;
  std::vector<float> result(static_cast<std::size_t>(rows * w.rows));
  const cuda::Buffer x_buffer = cuda::Buffer::of<float>(x, "a test");
  const cuda::Buffer y(result.size() * sizeof(float), "a test");
  const cuda::Buffer scratch(gemm_packed::scratch_bytes(weights.view(), rows), "a test");
  Args args;
  args.weights = &weights.view();
  args.operand = operand;
  args.x = x_buffer.data<float>();
  args.rows = static_cast<int>(rows);
  args.y = y.data<float>();
  args.scratch = scratch.data();
  const cuda::Stream stream;
  run_as(args, tokens, 1, stream.get());
  stream.synchronize();
  y.download(result.data(), y.bytes(), 0);
  return result;
}

// A tile of tokens without outliers is in 8 bits whatever is in the next one.
TEST(GemmPackedCuda, OutliersConcernTheirTileAlone) {
  PLIMSOLL_GPU_OR_SKIP();
  constexpr std::size_t kTokens = 64, kOutputs = 48;
  Matrix w = gemv::make_matrix(WeightFormat::int8, kOutputs, 512, 3);
  std::vector<float> x = cases::random_values(3 * kTokens * 512, 12);
  for (std::size_t i = 0; i < x.size(); i += 40) x[i] = 3;  // each row's largest
  for (float& value : x) value = std::clamp(value, -3.0f, 3.0f);
  x[(kTokens + 5) * 512 + 44] = 50;
  w.outlier_threshold = 0;
  const std::vector<float> whole = product_of(w, x, Operand::s8, kTokens);
  w.outlier_threshold = 6;
  const std::vector<float> mixed = product_of(w, x, Operand::s8, kTokens);
  const std::vector<float> exact = product_of(w, x, Operand::f16, kTokens);
  double from_exact = 0;
  for (std::size_t i = 0; i < mixed.size(); ++i) {
    if (i / (kTokens * kOutputs) == 1) continue;  // the tile with the outlier
    EXPECT_NEAR(mixed[i], whole[i], 0x1p-21f * std::fabs(whole[i])) << i;
    from_exact = std::max<double>(from_exact, std::fabs(mixed[i] - exact[i]));
  }
  EXPECT_GT(from_exact, 1e-3);  // those are in 8 bits
  const std::size_t beside = (kTokens + 5) * kOutputs;
  for (std::size_t i = beside; i < beside + kOutputs; ++i)
    EXPECT_NEAR(mixed[i], exact[i], 0.01f * std::fabs(exact[i]) + 0.5f);
}

TEST(GemmPackedCuda, EveryEpilogueAndSixteenBitRows) {
  PLIMSOLL_GPU_OR_SKIP();
  const Matrix w = gemv::make_matrix(WeightFormat::nf4_dq, 96, 512, 3);
  for (const int splits : {1, 2}) {
    Case c;
    c.rows = 37;
    c.tokens = 64;
    c.splits = splits;
    c.order = gemv::plain(w);
    for (const Epilogue epilogue : {Epilogue::add, Epilogue::gelu_tanh, Epilogue::gelu_erf}) {
      c.epilogue = epilogue;
      expect_product(w, c);
    }
    c.epilogue = Epilogue::store;
    c.from_sixteen = true;
    expect_product(w, c);
    c.epilogue = Epilogue::swiglu;
    c.order = {gemv::Pairing::halves, 0, w.rows};
    for (const bool sixteen : {false, true}) {
      c.sixteen = sixteen;
      expect_product(w, c);
    }
  }
}

// Rows beyond f16's range are scaled by a power of two.
TEST(GemmPackedCuda, LargeActivations) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const WeightFormat format : {WeightFormat::fp16, WeightFormat::int8}) {
    Matrix w = gemv::make_matrix(format, 32, 128, 3);
    w.outlier_threshold = 6;
    std::vector<float> x(2 * 128, 0.0f);
    x[5] = 0x1p20f;
    x[5 + 64] = 127;  // int8: an outlier of its own chunk
    x[128 + 9] = 3;
    const bool int8 = format == WeightFormat::int8;
    const std::vector<float> y = product_of(w, x, int8 ? Operand::s8 : Operand::f16, 32);
    const Tensor decoded = quant::decode(w);
    for (std::size_t n = 0; n < 32; ++n) {
      const auto weight = [&](std::size_t k) { return decoded.data<float>()[n * 128 + k]; };
      const float large = weight(5) * 0x1p20f + weight(5 + 64) * 127;
      EXPECT_NEAR(y[n], large, 0x1p-20f * std::fabs(large));
      EXPECT_NEAR(y[32 + n], weight(9) * 3, 0x1p-20f * std::fabs(weight(9)) * 3);
    }
  }
}

TEST(GemmPackedCuda, SaysWhatItDoesNotTake) {
  PLIMSOLL_GPU_OR_SKIP();
  const auto reason = [](WeightFormat format, std::int64_t columns, Operand operand) {
    const Matrix w = gemv::make_matrix(format, 32, columns, 3);
    const std::vector<const Matrix*> parts{&w};
    const gemv::UploadedWeights weights(gemv::pack(parts, gemv::plain(w)), "a test");
    const char* why = "";
    EXPECT_FALSE(supports(weights.view(), operand, &why));
    return std::string(why);
  };
  EXPECT_EQ(reason(WeightFormat::fp32, 64, Operand::f16), "fp32 weights");
  EXPECT_EQ(reason(WeightFormat::fp16, 80, Operand::f16), "columns that fill no whole block");
  EXPECT_EQ(reason(WeightFormat::nf4, 128, Operand::e4m3), "no product of that type");
}

}  // namespace
}  // namespace plimsoll::kernels::gemm_packed
