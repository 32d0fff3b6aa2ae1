#include "kernels/product/product_cuda.h"

#include <algorithm>

#include "kernels/dequantize/dequantize_cuda.h"
#include "kernels/gemv_general/gemv_general_cuda.h"
#include "kernels/product/product_epilogue_cuda.h"
#include "kernels/round_rows/round_rows_cuda.h"

namespace plimsoll::kernels::product {

namespace {

using gemv::DeviceWeights;
using gemv::Epilogue;

/// Decoded weights that the workspace holds at a time.
constexpr std::int64_t kDecodedBytes = std::int64_t{64} << 20;

std::int64_t round_up(std::int64_t value, std::int64_t to) {
  return (value + to - 1) / to * to;
}

/// How many rows' products lie where in the workspace; offsets in bytes.
struct Workspace {
  std::int64_t decoded_rows;  // of the weights, at a time
  std::int64_t decoded;
  std::int64_t x;
  std::int64_t wide;  // [rows, order.rows] f32: sums that are not y
  std::int64_t total;
};

/// Of weights [out, columns] of `bytes` each once they are decoded.
Workspace layout(std::int64_t out, std::int64_t columns, int bytes, std::int64_t rows) {
  const std::int64_t row = columns * bytes;
  Workspace at{};
  at.decoded_rows = std::min(out, std::max<std::int64_t>(kDecodedBytes / row / 64, 1) * 64);
  at.decoded = static_cast<std::int64_t>(cuda::kMatmulWorkspace);
  at.x = at.decoded + round_up(at.decoded_rows * row, 256);
  at.wide = at.x + round_up(rows * row, 256);
  at.total = at.wide + rows * out * 4;
  return at;
}

Workspace layout(const DeviceWeights& w, std::int64_t rows) {
  return layout(w.order.rows, dequantize::row_columns(w),
                cuda::element_bytes(dequantize::natural_element(w)), rows);
}

void run_decoded(const Args& args, cudaStream_t stream) {
  const DeviceWeights& w = *args.weights;
  const bool swiglu = args.epilogue == Epilogue::swiglu;
  const Workspace at = layout(w, args.rows);
  auto* workspace = static_cast<std::byte*>(args.scratch);
  const cuda::Element element = dequantize::natural_element(w);

  round_rows::Args rounded;
  rounded.x = args.x;
  rounded.x16 = args.x16;
  rounded.bf16 = args.bf16;
  rounded.rows = args.rows;
  rounded.columns = w.columns;
  rounded.norm = args.norm;
  rounded.norm_bias = args.norm_bias;
  rounded.epsilon = args.epsilon;
  rounded.element = element;
  rounded.out_columns = dequantize::row_columns(w);
  rounded.out = workspace + at.x;
  rounded.dependent = args.dependent;
  round_rows::run(rounded, stream);

  const bool apart = swiglu || args.y16 != nullptr;
  float* y = apart ? reinterpret_cast<float*>(workspace + at.wide) : args.y;
  for (std::int64_t row = 0; row < w.order.rows; row += at.decoded_rows) {
    dequantize::Args decode;
    decode.weights = &w;
    decode.element = element;
    decode.row_begin = row;
    decode.row_end = std::min(row + at.decoded_rows, w.order.rows);
    decode.out = workspace + at.decoded;
    decode.dependent = false;  // cuBLAS's kernels let none start before their end
    dequantize::run(decode, stream);
    cuda::MatmulArgs product;
    product.element = element;
    product.x = rounded.out;
    product.w = decode.out;
    product.y = y + row;
    product.m = args.rows;
    product.n = decode.row_end - row;
    product.k = rounded.out_columns;
    product.y_stride = w.order.rows;
    product.add = args.epilogue == Epilogue::add;
    product.workspace = workspace;
    cuda::matmul(product, stream);
  }

  const bool activation = args.epilogue != Epilogue::store && args.epilogue != Epilogue::add;
  if (args.bias == nullptr && !activation && args.y16 == nullptr) return;
  EpilogueArgs after;
  after.epilogue = args.epilogue;
  after.sums = y;
  after.rows = args.rows;
  after.width = swiglu ? w.order.rows / 2 : w.order.rows;
  after.bias = args.bias;
  after.y = args.y;
  after.y16 = args.y16;
  after.bf16 = args.bf16;
  run_epilogue(after, stream);
}

}  // namespace

Choice choose_few(const DeviceWeights& weights, int norms) {
  Choice choice;
  choice.reason = "few rows";
  if (const char* const why = gemv::refusal(weights, norms); why != nullptr) {
    choice.route = Route::general;
    choice.reason = why;
  }
  return choice;
}

Choice choose(const DeviceWeights& weights, std::int64_t rows, int norms) {
  using gemm_packed::Operand;
  Choice choice = choose_few(weights, norms);
  const bool table =
      weights.format == gemv::Format::table4 || weights.format == gemv::Format::table4_dq;
  if (rows <= (table ? kFewTableRows : gemv::kRowsTogether)) return choice;
  choice.operand = gemm_packed::natural_operand(weights);
  const char* why = nullptr;
  if (table && rows >= kDecodedTableRows) {
    choice.route = Route::decoded;
    choice.reason = "so many rows that decoding 4-bit levels once is cheaper than on the way";
    return choice;
  }
  if (gemm_packed::supports(weights, choice.operand, &why)) {
    choice.route = Route::packed;
    choice.reason = "tensor cores take packed weights";
    // Types of 8 bits where the format means them and rows are many enough for it to matter.
    const bool int8 = weights.format == gemv::Format::int8;
    const bool outliers = int8 && weights.outlier_threshold > 0;
    const Operand eight = int8 ? Operand::s8 : Operand::e4m3;
    if ((rows >= kManyRows || (int8 && !outliers)) &&
        gemm_packed::supports(weights, eight, nullptr)) {
      choice.operand = eight;
      choice.reason = outliers ? "8-bit tensor cores, and 16-bit ones for columns with outliers"
                               : "8-bit tensor cores take packed weights";
    }
    return choice;
  }
  if (choice.route == Route::gemv) choice.reason = why;
  if (rows >= kManyRows) choice.route = Route::decoded;
  return choice;
}

std::size_t workspace_bytes(std::int64_t out, std::int64_t columns, std::int64_t rows) {
  constexpr int kBytes = 2;
  if (rows < kManyRows) return 0;
  const auto decoded = static_cast<std::size_t>(layout(out, columns, kBytes, rows).total);
  if (rows < kDecodedTableRows && gemm_packed::supports(columns))
    return gemm_packed::scratch_bytes(columns, rows);
  return decoded;
}

std::size_t workspace_bytes(Route route, const DeviceWeights& weights, std::int64_t rows) {
  switch (route) {
    case Route::gemv:
      return gemv::scratch_bytes(weights, static_cast<int>(rows));
    case Route::general:
      return gemv_general::scratch_bytes(weights, rows);
    case Route::packed:
      return gemm_packed::scratch_bytes(weights, rows);
    default:
      return static_cast<std::size_t>(layout(weights, rows).total);
  }
}

std::size_t workspace_bytes(const DeviceWeights& weights, std::int64_t rows) {
  const std::int64_t few = std::min<std::int64_t>(rows, gemv::kMaxRows);
  std::size_t most = 0;
  for (const int norms : {0, 2}) {  // the more the sooner they do not fit
    most = std::max({most, workspace_bytes(choose_few(weights, norms).route, weights, few),
                     workspace_bytes(choose(weights, rows, norms).route, weights, rows)});
  }
  return most;
}

void run_as(const Choice& choice, const Args& args, cudaStream_t stream) {
  if (choice.route == Route::gemv || choice.route == Route::general) {
    PLIMSOLL_CHECK(args.x16 == nullptr && args.y16 == nullptr, "16-bit rows of a gemv");
    if (choice.route == Route::gemv) return gemv::run(args, stream);
    PLIMSOLL_CHECK(args.scratch != nullptr && args.rows <= gemv::kMaxRows);
    return gemv_general::run(args, stream);
  }
  PLIMSOLL_CHECK(args.scratch != nullptr, "no workspace");
  if (choice.route == Route::decoded) return run_decoded(args, stream);
  Args packed = args;
  packed.operand = choice.operand;
  gemm_packed::run(packed, stream);
}

void run(const Args& args, cudaStream_t stream) {
  run_as(choose(*args.weights, args.rows, norms_of(args)), args, stream);
}

}  // namespace plimsoll::kernels::product
