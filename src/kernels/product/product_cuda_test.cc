#include "kernels/product/product_cuda.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/dequantize/dequantize_cuda.h"
#include "kernels/gemv/gemv_cuda_cases.h"
#include "kernels/gemv/gemv_plan_cuda.h"
#include "support/cuda.h"

namespace plimsoll::kernels::product {
namespace {

using gemv::Epilogue;
using gemv::Within;
using quant::Matrix;
using quant::WeightFormat;

float rounded(float value, cuda::Element element) {
  if (element == cuda::Element::f32) return value;
  return element == cuda::Element::bf16 ? to_float(to_bf16(value)) : to_float(to_fp16(value));
}

// Products of values that are rounded to the element, in double precision; then as gemv's tests.
void expect_product(const Matrix& w, int rows, const gemv::Order& order, Epilogue epilogue,
                    bool normed, Route route = Route::decoded) {
  const std::vector<const Matrix*> parts{&w};
  const gemv::UploadedWeights weights(gemv::pack(parts, order), "a test");
  const cuda::Element element =
      route == Route::general ? cuda::Element::f32 : dequantize::natural_element(weights.view());
  const auto outputs = static_cast<std::size_t>(w.rows);
  const std::vector<float> x = gemv::make_x(rows * w.columns, 12);
  const std::vector<float> norm(static_cast<std::size_t>(w.columns), 0.5f);
  const std::vector<float> bias = cases::random_values(w.rows, 13);
  const bool swiglu = epilogue == Epilogue::swiglu;
  std::vector<float> y(static_cast<std::size_t>(rows) * (swiglu ? outputs / 2 : outputs),
                       epilogue == Epilogue::add ? 0.25f : std::numeric_limits<float>::quiet_NaN());

  const cuda::Buffer x_buffer = cuda::Buffer::of<float>(x, "a test");
  const cuda::Buffer norm_buffer = cuda::Buffer::of<float>(norm, "a test");
  const cuda::Buffer bias_buffer = cuda::Buffer::of<float>(bias, "a test");
  const cuda::Buffer y_buffer = cuda::Buffer::of<float>(y, "a test");
  cuda::Buffer workspace(workspace_bytes(route, weights.view(), rows), "a test");
  workspace.fill(0xff);
  product::Args args;
  args.weights = &weights.view();
  args.x = x_buffer.data<float>();
  args.rows = rows;
  args.norm = normed ? norm_buffer.data<float>() : nullptr;
  args.epsilon = 1e-5f;
  args.bias = bias_buffer.data<float>();
  args.epilogue = epilogue;
  args.y = y_buffer.data<float>();
  args.scratch = workspace.data();
  const cuda::Stream stream;
  Choice choice;
  choice.route = route;
  run_as(choice, args, stream.get());
  stream.synchronize();
  y_buffer.download(y.data(), y_buffer.bytes(), 0);

  const Tensor decoded = quant::decode(w);
  std::vector<float> input = x;
  if (normed) {
    rms_norm_ref({x.data(), rows, w.columns, norm.data(), nullptr, 1e-5f, input.data()});
  }
  const auto product = [&](std::size_t row, std::size_t n) {
    double sum = bias[n];
    double size = std::fabs(bias[n]);
    for (std::size_t k = 0; k < static_cast<std::size_t>(w.columns); ++k) {
      const std::size_t columns = static_cast<std::size_t>(w.columns);
      const double one = static_cast<double>(rounded(input[row * columns + k], element)) *
                         rounded(decoded.data<float>()[n * columns + k], element);
      sum += one;
      size += std::fabs(one);
    }
    // A norm's last bit may turn the rounding of x.
    const double of_norm = !normed ? 0 : element == cuda::Element::bf16 ? 0x1p-7 : 0x1p-10;
    const double unit = (static_cast<double>(w.columns) + 64) * 0x1p-23 + of_norm;
    return Within{static_cast<float>(sum), static_cast<float>(size * unit)};
  };
  const std::size_t width = swiglu ? outputs / 2 : outputs;
  // Of many outputs a sample: the oracle is slow.
  for (std::size_t i = 0; i<y.size(); i += y.size()> 20000 ? 997 : 1) {
    const std::size_t row = i / width;
    const std::size_t n = i % width;
    Within of = product(row, n);
    if (swiglu) of = gemv::swiglu_of(of, product(row, n + width));
    if (epilogue == Epilogue::gelu_tanh) of = gemv::gelu_of(of, false);
    if (epilogue == Epilogue::gelu_erf) of = gemv::gelu_of(of, true);
    if (epilogue == Epilogue::add) of.value += 0.25f;
    ASSERT_LE(std::fabs(y[i] - of.value), of.bound + 1e-5f)
        << quant::format_name(w.format) << ": output " << i << " is " << y[i] << ", expected "
        << of.value;
  }
}

TEST(ProductCuda, ManyRowsOfEveryFormat) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const WeightFormat format : gemv::kFormats) {
    const Matrix w = gemv::make_matrix(format, 96, 448, 3);
    expect_product(w, kManyRows, gemv::plain(w), Epilogue::store, true);
    expect_product(w, 70, {gemv::Pairing::halves, 0, w.rows}, Epilogue::swiglu, false);
  }
}

TEST(ProductCuda, EveryEpilogue) {
  PLIMSOLL_GPU_OR_SKIP();
  const Matrix w = gemv::make_matrix(WeightFormat::nf4_dq, 96, 448, 3);
  for (const Epilogue epilogue : {Epilogue::add, Epilogue::gelu_tanh, Epilogue::gelu_erf})
    expect_product(w, kManyRows, gemv::plain(w), epilogue, false);
}

// More decoded weights than the workspace holds at a time.
TEST(ProductCuda, WeightsThatAreDecodedInParts) {
  PLIMSOLL_GPU_OR_SKIP();
  const Matrix w = gemv::make_matrix(WeightFormat::fp16, 3000, 12288, 3);
  ASSERT_GT(w.rows * w.columns * 2, std::int64_t{64} << 20);
  expect_product(w, kManyRows, gemv::plain(w), Epilogue::add, false);
}

TEST(ProductCuda, GeneralKernelsOfEveryFormatAndEpilogue) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const WeightFormat format : gemv::kFormats) {
    const Matrix w = gemv::make_matrix(format, 96, 448, 3);
    for (const int rows : {1, 9}) {
      expect_product(w, rows, gemv::plain(w), Epilogue::store, true, Route::general);
      expect_product(w, rows, {gemv::Pairing::halves, 0, w.rows}, Epilogue::swiglu, false,
                     Route::general);
      expect_product(w, rows, gemv::plain(w), Epilogue::add, false, Route::general);
    }
  }
  const Matrix w = gemv::make_matrix(WeightFormat::nf4_dq, 88, 448, 3);
  for (const Epilogue epilogue : {Epilogue::gelu_tanh, Epilogue::gelu_erf})
    expect_product(w, gemv::kMaxRows, gemv::plain(w), epilogue, true, Route::general);
}

TEST(ProductCuda, WidthsThatAreNoWholeChunks) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const WeightFormat format : {WeightFormat::fp32, WeightFormat::fp16, WeightFormat::bf16,
                                    WeightFormat::fp8, WeightFormat::int8}) {
    for (const std::int64_t columns : {1, 77, 450, 452}) {
      const Matrix w = gemv::make_matrix(format, 37, columns, 3);
      for (const bool normed : {false, true}) {
        expect_product(w, 3, gemv::plain(w), Epilogue::store, normed, Route::general);
        expect_product(w, kManyRows, gemv::plain(w), Epilogue::store, normed);
      }
    }
  }
}

// Padding that fills whole blocks of the packed kernels too.
TEST(ProductCuda, PackedProductsOfPaddedColumns) {
  PLIMSOLL_GPU_OR_SKIP();
  const Matrix w = gemv::make_matrix(WeightFormat::fp16, 96, 444, 3);
  const std::vector<const Matrix*> parts{&w};
  const gemv::UploadedWeights weights(gemv::pack(parts, gemv::plain(w)), "a test");
  if (!gemm_packed::supports(64))
    GTEST_SKIP() << "packed products need code for sm_90a and a GPU that runs it";
  EXPECT_EQ(choose(weights.view(), kManyRows, 0).route, Route::packed);
  expect_product(w, kManyRows, gemv::plain(w), Epilogue::store, false, Route::packed);
}

TEST(ProductCuda, AGeneralRowDependsOnNoOther) {
  PLIMSOLL_GPU_OR_SKIP();
  const Matrix w = gemv::make_matrix(WeightFormat::fp16, 83, 450, 3);
  const std::vector<const Matrix*> parts{&w};
  const gemv::UploadedWeights weights(gemv::pack(parts, gemv::plain(w)), "a test");
  const cuda::Buffer x = cuda::Buffer::of<float>(gemv::make_x(20 * w.columns, 12), "a test");
  std::vector<float> alone;
  for (const int rows : {1, 2, 20}) {
    const cuda::Buffer y(static_cast<std::size_t>(rows * w.rows) * sizeof(float), "a test");
    const cuda::Buffer workspace(workspace_bytes(Route::general, weights.view(), rows), "a test");
    product::Args args;
    args.weights = &weights.view();
    args.x = x.data<float>();
    args.rows = rows;
    args.y = y.data<float>();
    args.scratch = workspace.data();
    const cuda::Stream stream;
    EXPECT_EQ(choose(weights.view(), rows == 20 ? 1 : rows, 0).route, Route::general);
    Choice general;
    general.route = Route::general;
    run_as(general, args, stream.get());
    stream.synchronize();
    std::vector<float> first(static_cast<std::size_t>(w.rows));
    y.download(first.data(), first.size() * sizeof(float), 0);
    if (alone.empty()) alone = first;
    EXPECT_EQ(alone, first) << rows << " rows";
  }
}

TEST(ProductCuda, MoreColumnsThanGemvTakes) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const WeightFormat format : {WeightFormat::fp16, WeightFormat::int8, WeightFormat::nf4}) {
    const Matrix w = gemv::make_matrix(format, 24, 28672, 3);
    const std::vector<const Matrix*> parts{&w};
    const gemv::UploadedWeights weights(gemv::pack(parts, gemv::plain(w)), "a test");
    EXPECT_EQ(choose(weights.view(), 1, 0).route, Route::general);
    EXPECT_EQ(choose(weights.view(), 40, 0).route, Route::general);
    EXPECT_EQ(choose(weights.view(), kManyRows, 0).route, Route::decoded);
    expect_product(w, 2, gemv::plain(w), Epilogue::add, false, Route::general);
    expect_product(w, kManyRows, gemv::plain(w), Epilogue::add, false);
  }
}

TEST(ProductCuda, RowsAndWeightsChooseTheRoute) {
  PLIMSOLL_GPU_OR_SKIP();
  const auto route_of = [](WeightFormat format, std::int64_t columns, std::int64_t rows,
                           float threshold = 6) {
    Matrix w = gemv::make_matrix(format, 96, columns, 3);
    w.outlier_threshold = threshold;
    const std::vector<const Matrix*> parts{&w};
    const gemv::UploadedWeights weights(gemv::pack(parts, gemv::plain(w)), "a test");
    return choose(weights.view(), rows, 0);
  };
  EXPECT_EQ(route_of(WeightFormat::fp16, 448, gemv::kRowsTogether).route, Route::gemv);
  EXPECT_EQ(route_of(WeightFormat::fp32, 448, kManyRows - 1).route, Route::gemv);
  EXPECT_EQ(route_of(WeightFormat::fp32, 448, kManyRows).route, Route::decoded);
  EXPECT_EQ(route_of(WeightFormat::fp32, 448, kManyRows).reason, "fp32 weights");
  if (gemv::limits().major != 9) return;
  EXPECT_EQ(route_of(WeightFormat::fp16, 448, gemv::kRowsTogether + 1).route, Route::packed);
  EXPECT_EQ(route_of(WeightFormat::fp16, 464, kManyRows).route, Route::decoded);
  EXPECT_EQ(route_of(WeightFormat::nf4, 448, kFewTableRows).route, Route::gemv);
  EXPECT_EQ(route_of(WeightFormat::nf4, 448, kFewTableRows + 1).route, Route::packed);
  EXPECT_EQ(route_of(WeightFormat::nf4, 448, kDecodedTableRows - 1).route, Route::packed);
  EXPECT_EQ(route_of(WeightFormat::nf4, 448, kDecodedTableRows).route, Route::decoded);
  EXPECT_EQ(route_of(WeightFormat::fp8, 512, kManyRows).operand, gemm_packed::Operand::e4m3);
  EXPECT_EQ(route_of(WeightFormat::fp8, 512, kManyRows - 1).operand, gemm_packed::Operand::f16);
  EXPECT_EQ(route_of(WeightFormat::int8, 512, kManyRows - 1).operand, gemm_packed::Operand::f16);
  EXPECT_EQ(route_of(WeightFormat::int8, 512, kManyRows).operand, gemm_packed::Operand::s8);
  EXPECT_EQ(route_of(WeightFormat::int8, 448, kManyRows).operand, gemm_packed::Operand::f16);
  EXPECT_EQ(route_of(WeightFormat::int8, 512, gemv::kRowsTogether + 1, 0).operand,
            gemm_packed::Operand::s8);
}

TEST(ProductCuda, FewRowsAreGemvs) {
  PLIMSOLL_GPU_OR_SKIP();
  const Matrix w = gemv::make_matrix(WeightFormat::bf16, 96, 448, 3);
  expect_product(w, 1, gemv::plain(w), Epilogue::store, false, Route::gemv);
}

}  // namespace
}  // namespace plimsoll::kernels::product
