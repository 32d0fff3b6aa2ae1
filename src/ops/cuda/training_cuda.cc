#include "ops/cuda/training_cuda.h"

#include <algorithm>

#include "core/error.h"
#include "kernels/activation/activation_backward_cuda.h"
#include "kernels/activation/activation_cuda.h"
#include "kernels/adamw/adamw_cuda.h"
#include "kernels/attention_training/attention_training_cuda.h"
#include "kernels/cross_entropy/cross_entropy_cuda.h"
#include "kernels/dropout/dropout_cuda.h"
#include "kernels/embedding/embedding_backward_cuda.h"
#include "kernels/embedding/embedding_cuda.h"
#include "kernels/rms_norm/norm_backward_cuda.h"
#include "kernels/rms_norm/norm_cuda.h"
#include "kernels/rope/rope_cuda.h"
#include "ops/cuda/device_cuda.h"
#include "ops/cuda/elementwise_cuda.h"

namespace plimsoll::ops {

namespace {

float* wanted(Tensor& gradient) {
  return gradient.defined() ? gradient.address<float>() : nullptr;
}

template <class T>
Tensor uploaded(TrainingDevice& device, std::span<const T> values) {
  const auto count = static_cast<std::int64_t>(values.size());
  return device.upload(Tensor::view(values.data(), DTypeOf<T>::kValue, {count}, nullptr));
}

kernels::NormGradientArgs norm_gradient(const Tensor& x, const Tensor& weight, float epsilon,
                                        const Tensor& dy, Tensor& dx) {
  kernels::NormGradientArgs args;
  args.x = x.address<float>();
  args.rows = x.dim(0);
  args.width = x.dim(1);
  args.weight = weight.address<float>();
  args.epsilon = epsilon;
  args.dy = dy.address<float>();
  args.dx = dx.address<float>();
  return args;
}

kernels::RopeArgs rope_args(const Tensor& x, std::int64_t head_dim, const RopeTable& table) {
  return {x.address<float>(),
          x.dim(0),
          x.dim(1) / head_dim,
          head_dim,
          table.cosine.address<float>(),
          table.sine.address<float>()};
}

kernels::DeviceAttentionTrainingArgs attention_args(const TrainingAttention& a) {
  kernels::DeviceAttentionTrainingArgs args;
  args.q = a.q.address<float>();
  args.k = a.k.address<float>();
  args.v = a.v.address<float>();
  args.bounds = a.bounds_there.address<std::int64_t>();
  args.sequences = static_cast<std::int64_t>(a.bounds.size()) - 1;
  args.rows = a.q.dim(0);
  for (std::size_t i = 0; i + 1 < a.bounds.size(); ++i)
    args.longest = std::max(args.longest, a.bounds[i + 1] - a.bounds[i]);
  args.heads = a.settings.heads;
  args.kv_heads = a.k.dim(1) / a.head_dim;
  args.head_dim = a.head_dim;
  args.scale = a.settings.scale;
  args.window = a.settings.window.value_or(0);
  args.out = a.out.address<float>();
  args.log_sum = a.log_sum.address<float>();
  return args;
}

}  // namespace

Tensor CudaTraining::empty(Shape shape) {
  return device_.pooled(DType::f32, std::move(shape));
}

Tensor CudaTraining::upload(const Tensor& host) {
  Tensor there = device_.pooled(host.dtype(), host.shape());
  device_.upload(host.raw(), there.raw(), host.bytes());
  return there;
}

void CudaTraining::clear(Tensor& x) {
  PLIMSOLL_CUDA_CHECK(cudaMemsetAsync(x.raw(), 0, x.bytes(), device_.stream()));
}

Tensor CudaTraining::embedding(const quant::Matrix& table, std::span<const std::int32_t> ids) {
  const Tensor there = uploaded(*this, ids);
  Tensor y = empty({there.size(), table.columns});
  kernels::DeviceEmbeddingArgs args;
  args.ids = there.address<std::int32_t>();
  args.rows = there.size();
  args.table = table.codes.raw();
  args.vocabulary = table.rows;
  args.width = table.columns;
  args.dtype = table.codes.dtype();
  args.y = y.address<float>();
  kernels::embed(args, device_.stream());
  return y;
}

void CudaTraining::embedding_backward(std::span<const std::int32_t> ids, const Tensor& dy,
                                      Tensor& dtable) {
  const Tensor there = uploaded(*this, ids);
  kernels::DeviceEmbeddingGradientArgs args;
  args.ids = there.address<std::int32_t>();
  args.rows = there.size();
  args.dy = dy.address<float>();
  args.width = dy.dim(1);
  args.vocabulary = dtable.dim(0);
  args.dtable = dtable.address<float>();
  kernels::embedding_backward(args, device_.stream());
}

Tensor CudaTraining::norm(const Tensor& x, const Tensor& weight, const Tensor* bias,
                          float epsilon) {
  return device_.norm(x, {weight, bias, epsilon});
}

void CudaTraining::rms_norm_backward(const Tensor& x, const Tensor& weight, float epsilon,
                                     const Tensor& dy, Tensor& dx, Tensor& dweight) {
  kernels::NormGradientArgs args = norm_gradient(x, weight, epsilon, dy, dx);
  args.dweight = wanted(dweight);
  const Tensor scratch = empty({kernels::norm_backward_scratch(args.rows)});
  kernels::rms_norm_backward(args, scratch.address<float>(), device_.stream());
}

void CudaTraining::layer_norm_backward(const Tensor& x, const Tensor& weight, float epsilon,
                                       const Tensor& dy, Tensor& dx, Tensor& dweight,
                                       Tensor& dbias) {
  kernels::NormGradientArgs args = norm_gradient(x, weight, epsilon, dy, dx);
  args.dweight = wanted(dweight);
  args.dbias = wanted(dbias);
  const Tensor scratch = empty({kernels::norm_backward_scratch(args.rows)});
  kernels::layer_norm_backward(args, scratch.address<float>(), device_.stream());
}

void CudaTraining::rope(Tensor& x, std::int64_t head_dim, const RopeTable& table) {
  kernels::rope(rope_args(x, head_dim, table), device_.stream());
}

void CudaTraining::rope_backward(Tensor& dx, std::int64_t head_dim, const RopeTable& table) {
  kernels::rope_backward(rope_args(dx, head_dim, table), device_.stream());
}

void CudaTraining::add_scaled(Tensor& x, const Tensor& y, float scale) {
  kernels::add_scaled(x.address<float>(), y.address<float>(), x.size(), scale, device_.stream());
}

void CudaTraining::swiglu(Tensor& gate, const Tensor& up) {
  kernels::swiglu(elementwise(gate, up, gate), device_.stream());
}

void CudaTraining::swiglu_backward(const Tensor& gate, const Tensor& up, const Tensor& dy,
                                   Tensor& dgate, Tensor& dup) {
  kernels::swiglu_backward({gate.address<float>(), up.address<float>(), dy.address<float>(),
                            gate.size(), dgate.address<float>(), dup.address<float>()},
                           device_.stream());
}

void CudaTraining::gelu(Tensor& x, bool tanh_form) {
  const kernels::DeviceElementwiseArgs args = elementwise(x, x, x);
  if (tanh_form) return kernels::gelu_tanh(args, device_.stream());
  kernels::gelu_erf(args, device_.stream());
}

void CudaTraining::gelu_backward(const Tensor& x, const Tensor& dy, bool tanh_form, Tensor& dx) {
  kernels::gelu_backward(x.address<float>(), dy.address<float>(), x.size(), tanh_form,
                         dx.address<float>(), device_.stream());
}

Tensor CudaTraining::columns(const Tensor& x, std::int64_t begin, std::int64_t width) {
  Tensor y = empty({x.dim(0), width});
  const auto row_bytes = [](std::int64_t floats) {
    return static_cast<std::size_t>(floats) * sizeof(float);
  };
  PLIMSOLL_CUDA_CHECK(cudaMemcpy2DAsync(
      y.raw(), row_bytes(width), x.address<float>() + begin, row_bytes(x.dim(1)), row_bytes(width),
      static_cast<std::size_t>(x.dim(0)), cudaMemcpyDeviceToDevice, device_.stream()));
  return y;
}

void CudaTraining::columns_backward(const Tensor& dy, std::int64_t begin, Tensor& dx) {
  kernels::DeviceElementwiseArgs args = elementwise(dy, dx, dx);
  args.b += begin;
  args.y += begin;
  kernels::add(args, device_.stream());
}

Tensor CudaTraining::dropout(const Tensor& x, double share, std::uint64_t seed) {
  Tensor y = empty(x.shape());
  kernels::dropout({x.address<float>(), x.dim(0), x.dim(1), share, seed, y.address<float>()},
                   device_.stream());
  return y;
}

void CudaTraining::dropout_backward(const Tensor& dy, double share, std::uint64_t seed,
                                    Tensor& dx) {
  kernels::add_dropout(
      {dy.address<float>(), dy.dim(0), dy.dim(1), share, seed, dx.address<float>()},
      device_.stream());
}

void CudaTraining::attention(TrainingAttention& a) {
  if (a.head_dim % 4 != 0 || a.head_dim > kernels::kMaxTrainingHeadDim) {
    throw InputError(
        "the model", "head dim", fmt::format("{}", a.head_dim),
        fmt::format("a multiple of 4 up to {} on a GPU", kernels::kMaxTrainingHeadDim));
  }
  a.out = empty(a.q.shape());
  a.log_sum = empty({a.q.dim(0) * a.settings.heads});
  a.bounds_there = uploaded(*this, std::span<const std::int64_t>(a.bounds));
  kernels::attention_training_forward(attention_args(a), device_.stream());
}

void CudaTraining::attention_backward(const TrainingAttention& a, const Tensor& dout, Tensor& dq,
                                      Tensor& dk, Tensor& dv) {
  const Tensor scratch = empty({a.q.dim(0) * a.settings.heads});
  kernels::DeviceAttentionGradientArgs args;
  args.forward = attention_args(a);
  args.dout = dout.address<float>();
  args.dq = dq.address<float>();
  args.dk = dk.address<float>();
  args.dv = dv.address<float>();
  args.scratch = scratch.address<float>();
  kernels::attention_training_backward(args, device_.stream());
}

void CudaTraining::cross_entropy(Tensor& logits, std::span<const std::int32_t> targets,
                                 float weight, Tensor& total) {
  const Tensor there = uploaded(*this, targets);
  const Tensor losses = device_.pooled(DType::f64, {there.size()});
  kernels::cross_entropy({logits.address<float>(), logits.dim(0), logits.dim(1),
                          there.address<std::int32_t>(), losses.address<double>(), weight},
                         device_.stream());
  kernels::add_sum(losses.address<double>(), losses.size(), total.address<double>(),
                   device_.stream());
}

void CudaTraining::adamw(Tensor& values, const Tensor& gradients, Tensor& mean, Tensor& square,
                         const kernels::AdamWArgs& settings) {
  kernels::AdamWArgs args = settings;
  args.values = values.address<float>();
  args.gradients = gradients.address<float>();
  args.mean = mean.address<float>();
  args.square = square.address<float>();
  args.count = values.size();
  kernels::adamw(args, device_.stream());
}

double CudaTraining::sum_of_squares(const Tensor& x) {
  const Tensor scratch = device_.pooled(DType::f64, {kernels::kSumScratch});
  Tensor total = device_.pooled(DType::f64, {1});
  clear(total);
  kernels::add_squares(x.address<float>(), x.size(), scratch.address<double>(),
                       total.address<double>(), device_.stream());
  return total.to_host().data<double>()[0];
}

}  // namespace plimsoll::ops
