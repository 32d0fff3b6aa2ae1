#include "kernels/product/product_cuda.h"

#include <algorithm>

#include "kernels/dequantize/dequantize_cuda.h"
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
  std::int64_t wide;  // [rows, order.rows] f32: gate and up before SwiGLU
  std::int64_t total;
};

/// Of weights [out, columns] of `bytes` each once they are decoded.
Workspace layout(std::int64_t out, std::int64_t columns, int bytes, std::int64_t rows,
                 bool swiglu) {
  const std::int64_t row = columns * bytes;
  Workspace at{};
  at.decoded_rows = std::min(out, std::max<std::int64_t>(kDecodedBytes / row / 64, 1) * 64);
  at.decoded = static_cast<std::int64_t>(cuda::kMatmulWorkspace);
  at.x = at.decoded + round_up(at.decoded_rows * row, 256);
  at.wide = at.x + round_up(rows * row, 256);
  at.total = at.wide + (swiglu ? rows * out * 4 : 0);
  return at;
}

Workspace layout(const DeviceWeights& w, std::int64_t rows, bool swiglu) {
  return layout(w.order.rows, w.columns, cuda::element_bytes(dequantize::natural_element(w)), rows,
                swiglu);
}

void run_many(const gemv::Args& args, cudaStream_t stream) {
  const DeviceWeights& w = *args.weights;
  const bool swiglu = args.epilogue == Epilogue::swiglu;
  const Workspace at = layout(w, args.rows, swiglu);
  auto* workspace = static_cast<std::byte*>(args.scratch);
  const cuda::Element element = dequantize::natural_element(w);

  round_rows::Args rounded;
  rounded.x = args.x;
  rounded.rows = args.rows;
  rounded.columns = w.columns;
  rounded.norm = args.norm;
  rounded.norm_bias = args.norm_bias;
  rounded.epsilon = args.epsilon;
  rounded.element = element;
  rounded.out = workspace + at.x;
  rounded.dependent = args.dependent;
  round_rows::run(rounded, stream);

  float* y = swiglu ? reinterpret_cast<float*>(workspace + at.wide) : args.y;
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
    product.k = w.columns;
    product.y_stride = w.order.rows;
    product.add = args.epilogue == Epilogue::add;
    product.workspace = workspace;
    cuda::matmul(product, stream);
  }

  const bool activation = args.epilogue != Epilogue::store && args.epilogue != Epilogue::add;
  if (args.bias == nullptr && !activation) return;
  EpilogueArgs after;
  after.epilogue = args.epilogue;
  after.sums = y;
  after.rows = args.rows;
  after.width = swiglu ? w.order.rows / 2 : w.order.rows;
  after.bias = args.bias;
  after.y = args.y;
  run_epilogue(after, stream);
}

}  // namespace

std::size_t workspace_bytes(const DeviceWeights& weights, std::int64_t rows) {
  const auto few = static_cast<int>(std::min<std::int64_t>(rows, kManyRows - 1));
  const std::size_t scratch = gemv::scratch_bytes(weights, few);
  if (rows < kManyRows) return scratch;
  const bool paired = weights.order.pairing == gemv::Pairing::halves;
  return std::max(scratch, static_cast<std::size_t>(layout(weights, rows, paired).total));
}

std::size_t workspace_bytes(std::int64_t out, std::int64_t columns, bool paired,
                            std::int64_t rows) {
  constexpr int kBytes = 2;
  if (rows < kManyRows) return 0;
  return static_cast<std::size_t>(layout(out, columns, kBytes, rows, paired).total);
}

void run(const gemv::Args& args, cudaStream_t stream) {
  if (args.rows < kManyRows) return gemv::run(args, stream);
  PLIMSOLL_CHECK(args.scratch != nullptr, "no workspace");
  run_many(args, stream);
}

}  // namespace plimsoll::kernels::product
