// Training's products: cuBLASLt in TF32, packed weights decoded some rows at a time.
#include <algorithm>

#include "core/error.h"
#include "kernels/activation/activation_cuda.h"
#include "kernels/column_sums/column_sums_cuda.h"
#include "kernels/dequantize/dequantize_cuda.h"
#include "ops/cuda/device_cuda.h"
#include "ops/cuda/training_cuda.h"

namespace plimsoll::ops {

namespace {

// Decoded weights held at once: 64 MB.
constexpr std::int64_t kDecodedAtOnce = 1 << 24;
constexpr std::int64_t kTile = kernels::gemv::kTileRows;

}  // namespace

void CudaTraining::gemm(cuda::GemmArgs args) {
  const auto workspace = device_.workspace(cuda::kMatmulWorkspace, "products");
  args.tf32 = true;
  args.workspace = workspace.get();
  cuda::gemm(args, device_.stream());
}

template <class Body>
void CudaTraining::for_weight_rows(const quant::Matrix& weight, const DeviceLinear* packed,
                                   const Body& body) {
  if (packed == nullptr) {
    body(weight.codes.address<float>(), weight.columns, 0, weight.rows);
    return;
  }
  const std::int64_t stride = kernels::dequantize::row_columns(packed->weights.view());
  const std::int64_t block =
      std::min(weight.rows, std::max(kTile, kDecodedAtOnce / stride / kTile * kTile));
  const Tensor decoded = empty({block, stride});
  kernels::dequantize::Args args;
  args.weights = &packed->weights.view();
  args.element = cuda::Element::f32;
  args.out = decoded.address<float>();
  for (std::int64_t begin = 0; begin < weight.rows; begin += block) {
    args.row_begin = begin;
    args.row_end = std::min(begin + block, weight.rows);
    kernels::dequantize::run(args, device_.stream());
    body(decoded.address<float>(), stride, begin, args.row_end);
  }
}

Tensor CudaTraining::linear(const Tensor& x, const Linear& layer) {
  const quant::Matrix& w = layer.weight;
  PLIMSOLL_CHECK(x.shape().size() == 2 && x.dim(1) == w.columns, "{}: x is {}, W is [{}, {}]",
                 layer.name, to_string(x.shape()), w.rows, w.columns);
  const DeviceLinear* packed = layer.device.get();
  Tensor y = empty({x.dim(0), w.rows});
  for_weight_rows(
      w, packed, [&](const float* rows, std::int64_t stride, std::int64_t begin, std::int64_t end) {
        gemm({.b_transposed = true,
              .m = x.dim(0),
              .n = end - begin,
              .k = w.columns,
              .a = x.address<float>(),
              .lda = w.columns,
              .b = rows,
              .ldb = stride,
              .c = y.address<float>() + begin,
              .ldc = w.rows});
      });
  const Tensor& bias = packed != nullptr ? packed->bias : layer.bias;
  if (bias.defined()) {
    kernels::DeviceElementwiseArgs args;
    args.a = args.y = y.address<float>();
    args.a_stride = args.y_stride = args.width = w.rows;
    args.b = bias.address<float>();
    args.rows = x.dim(0);
    kernels::add(args, device_.stream());
  }
  for (const LowRank& adapter : layer.adapters) {
    const Tensor inner = linear(x, {layer.name, adapter.a, {}});
    gemm({.b_transposed = true,
          .m = x.dim(0),
          .n = w.rows,
          .k = adapter.b.columns,
          .alpha = adapter.scale,
          .a = inner.address<float>(),
          .lda = adapter.b.columns,
          .b = adapter.b.codes.address<float>(),
          .ldb = adapter.b.columns,
          .beta = 1,
          .c = y.address<float>(),
          .ldc = w.rows});
  }
  return y;
}

void CudaTraining::linear_input_backward(const quant::Matrix& weight, const DeviceLinear* packed,
                                         const Tensor& dy, Tensor& dx, float scale) {
  PLIMSOLL_CHECK(dy.dim(1) == weight.rows && dx.dim(1) == weight.columns && dx.dim(0) == dy.dim(0));
  for_weight_rows(
      weight, packed,
      [&](const float* rows, std::int64_t stride, std::int64_t begin, std::int64_t end) {
        gemm({.m = dy.dim(0),
              .n = weight.columns,
              .k = end - begin,
              .alpha = scale,
              .a = dy.address<float>() + begin,
              .lda = weight.rows,
              .b = rows,
              .ldb = stride,
              .beta = 1,
              .c = dx.address<float>(),
              .ldc = weight.columns});
      });
}

void CudaTraining::linear_weight_backward(const Tensor& dy, const Tensor& x, Tensor& dw,
                                          float scale) {
  gemm({.a_transposed = true,
        .m = dw.dim(0),
        .n = dw.dim(1),
        .k = x.dim(0),
        .alpha = scale,
        .a = dy.address<float>(),
        .lda = dy.dim(1),
        .b = x.address<float>(),
        .ldb = x.dim(1),
        .beta = 1,
        .c = dw.address<float>(),
        .ldc = dw.dim(1)});
}

void CudaTraining::linear_bias_backward(const Tensor& dy, Tensor& db) {
  kernels::add_column_sums(dy.address<float>(), dy.dim(0), dy.dim(1), db.address<float>(),
                           device_.stream());
}

}  // namespace plimsoll::ops
