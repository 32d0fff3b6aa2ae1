#include "ops/backward.h"

#include <algorithm>
#include <numeric>

#include "core/threads.h"
#include "core/trace.h"
#include "kernels/activation/activation.h"
#include "kernels/attention_training/attention_training.h"
#include "kernels/cross_entropy/cross_entropy.h"
#include "kernels/layer_norm/layer_norm.h"
#include "kernels/onednn.h"
#include "kernels/rope/rope.h"
#include "ops/training_device.h"
#include "quant/codec.h"

namespace plimsoll::ops {

namespace {

// Decoded weights held at once: 4 MB.
constexpr std::int64_t kDecodedAtOnce = 1 << 20;

std::int64_t bytes(const Tensor& tensor) {
  return static_cast<std::int64_t>(tensor.bytes());
}

float* wanted(Tensor& gradient, std::int64_t size) {
  if (!gradient.defined()) return nullptr;
  PLIMSOLL_CHECK(gradient.size() == size);
  return gradient.data<float>();
}

kernels::NormGradientArgs norm_args(const Tensor& x, const Tensor& weight, float epsilon,
                                    const Tensor& dy, Tensor& dx) {
  PLIMSOLL_CHECK(weight.size() == x.dim(1) && dy.size() == x.size() && dx.size() == x.size());
  kernels::NormGradientArgs args;
  args.x = x.data<float>();
  args.rows = x.dim(0);
  args.width = x.dim(1);
  args.weight = weight.data<float>();
  args.epsilon = epsilon;
  args.dy = dy.data<float>();
  args.dx = dx.data<float>();
  return args;
}

/// Rows [begin, end) of W in fp32: in place, or decoded into `workspace`.
const float* weight_rows(const quant::Matrix& w, std::int64_t begin, std::int64_t end,
                         std::vector<float>& workspace) {
  if (w.format == quant::WeightFormat::fp32) return w.codes.data<float>() + begin * w.columns;
  workspace.resize(static_cast<std::size_t>((end - begin) * w.columns));
  parallel_for(end - begin, 1 + (1 << 13) / w.columns, [&](std::int64_t first, std::int64_t last) {
    quant::decode_rows(w, begin + first, begin + last, workspace.data() + first * w.columns);
  });
  return workspace.data();
}

}  // namespace

void linear_input_backward(const quant::Matrix& weight, const Tensor& dy, Tensor& dx, float scale) {
  PLIMSOLL_CHECK(dy.dim(1) == weight.rows && dx.dim(1) == weight.columns && dx.dim(0) == dy.dim(0));
  if (TrainingDevice* gpu = training_device(dy))
    return gpu->linear_input_backward(weight, nullptr, dy, dx, scale);
  const std::int64_t rows = dy.dim(0);
  const trace::Scope scope("linear_input_backward",
                           quant::matrix_bytes(weight) + bytes(dy) + 2 * bytes(dx),
                           2 * rows * weight.rows * weight.columns);
  const bool whole = weight.format == quant::WeightFormat::fp32;
  const std::int64_t block =
      whole ? weight.rows : std::max<std::int64_t>(1, kDecodedAtOnce / weight.columns);
  std::vector<float> workspace;
  for (std::int64_t begin = 0; begin < weight.rows; begin += block) {
    const std::int64_t end = std::min(begin + block, weight.rows);
    const float* w = weight_rows(weight, begin, end, workspace);
    kernels::sgemm({.m = rows,
                    .n = weight.columns,
                    .k = end - begin,
                    .alpha = scale,
                    .a = dy.data<float>() + begin,
                    .lda = weight.rows,
                    .b = w,
                    .ldb = weight.columns,
                    .beta = 1,
                    .c = dx.data<float>(),
                    .ldc = weight.columns});
  }
}

void linear_input_backward(const Linear& layer, const Tensor& dy, Tensor& dx) {
  TrainingDevice* gpu = training_device(dy);
  if (gpu == nullptr) return linear_input_backward(layer.weight, dy, dx);
  gpu->linear_input_backward(layer.weight, layer.device.get(), dy, dx, 1);
}

void linear_weight_backward(const Tensor& dy, const Tensor& x, Tensor& dw, float scale) {
  PLIMSOLL_CHECK(dw.dim(0) == dy.dim(1) && dw.dim(1) == x.dim(1) && x.dim(0) == dy.dim(0));
  if (TrainingDevice* gpu = training_device(dy))
    return gpu->linear_weight_backward(dy, x, dw, scale);
  const trace::Scope scope("linear_weight_backward", bytes(dy) + bytes(x) + 2 * bytes(dw),
                           2 * x.dim(0) * dw.size());
  kernels::sgemm({.a_transposed = true,
                  .m = dw.dim(0),
                  .n = dw.dim(1),
                  .k = x.dim(0),
                  .alpha = scale,
                  .a = dy.data<float>(),
                  .lda = dy.dim(1),
                  .b = x.data<float>(),
                  .ldb = x.dim(1),
                  .beta = 1,
                  .c = dw.data<float>(),
                  .ldc = dw.dim(1)});
}

void linear_bias_backward(const Tensor& dy, Tensor& db) {
  const std::int64_t width = dy.dim(1);
  PLIMSOLL_CHECK(db.size() == width);
  if (TrainingDevice* gpu = training_device(dy)) return gpu->linear_bias_backward(dy, db);
  const trace::Scope scope("linear_bias_backward", bytes(dy), dy.size());
  // Threads split the columns: the sum over rows has one order.
  parallel_for(width, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = 0; row < dy.dim(0); ++row) {
      for (std::int64_t i = begin; i < end; ++i)
        db.data<float>()[i] += dy.data<float>()[row * width + i];
    }
  });
}

void rms_norm_backward(const Tensor& x, const Tensor& weight, float epsilon, const Tensor& dy,
                       Tensor& dx, Tensor dweight) {
  if (TrainingDevice* gpu = training_device(x))
    return gpu->rms_norm_backward(x, weight, epsilon, dy, dx, dweight);
  const trace::Scope scope("rms_norm_backward", 4 * bytes(x), 10 * x.size());
  kernels::NormGradientArgs args = norm_args(x, weight, epsilon, dy, dx);
  args.dweight = wanted(dweight, x.dim(1));
  kernels::rms_norm_backward(args);
}

void layer_norm_backward(const Tensor& x, const Tensor& weight, float epsilon, const Tensor& dy,
                         Tensor& dx, Tensor dweight, Tensor dbias) {
  if (TrainingDevice* gpu = training_device(x))
    return gpu->layer_norm_backward(x, weight, epsilon, dy, dx, dweight, dbias);
  const trace::Scope scope("layer_norm_backward", 4 * bytes(x), 14 * x.size());
  kernels::NormGradientArgs args = norm_args(x, weight, epsilon, dy, dx);
  args.dweight = wanted(dweight, x.dim(1));
  args.dbias = wanted(dbias, x.dim(1));
  kernels::layer_norm_backward(args);
}

void rope_backward(Tensor& dx, std::int64_t head_dim, const RopeTable& table) {
  PLIMSOLL_CHECK(dx.dim(1) % head_dim == 0 && table.cosine.dim(0) == dx.dim(0) &&
                 table.cosine.dim(1) * 2 == head_dim);
  if (TrainingDevice* gpu = training_device(dx)) return gpu->rope_backward(dx, head_dim, table);
  const trace::Scope scope("rope_backward", 2 * bytes(dx), 3 * dx.size());
  kernels::rope_backward({dx.data<float>(), dx.dim(0), dx.dim(1) / head_dim, head_dim,
                          table.cosine.data<float>(), table.sine.data<float>()});
}

void swiglu_backward(const Tensor& gate, const Tensor& up, const Tensor& dy, Tensor& dgate,
                     Tensor& dup) {
  PLIMSOLL_CHECK(gate.size() == up.size() && gate.size() == dy.size() &&
                 gate.size() == dgate.size() && gate.size() == dup.size());
  if (TrainingDevice* gpu = training_device(gate))
    return gpu->swiglu_backward(gate, up, dy, dgate, dup);
  const trace::Scope scope("swiglu_backward", 7 * bytes(gate), 14 * gate.size());
  kernels::swiglu_backward({gate.data<float>(), up.data<float>(), dy.data<float>(), gate.size(),
                            dgate.data<float>(), dup.data<float>()});
}

void gelu_backward(const Tensor& x, const Tensor& dy, bool tanh_form, Tensor& dx) {
  PLIMSOLL_CHECK(x.size() == dy.size() && x.size() == dx.size());
  if (TrainingDevice* gpu = training_device(x)) return gpu->gelu_backward(x, dy, tanh_form, dx);
  const trace::Scope scope("gelu_backward", 4 * bytes(x), 16 * x.size());
  kernels::gelu_backward(x.data<float>(), dy.data<float>(), x.size(), tanh_form, dx.data<float>());
}

void embedding_backward(std::span<const std::int32_t> ids, const Tensor& dy, Tensor& dtable) {
  PLIMSOLL_CHECK(dy.dim(0) == static_cast<std::int64_t>(ids.size()) && dtable.dim(1) == dy.dim(1));
  if (TrainingDevice* gpu = training_device(dy)) return gpu->embedding_backward(ids, dy, dtable);
  const trace::Scope scope("embedding_backward", 3 * bytes(dy), dy.size());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const std::int64_t width = dy.dim(1);
    PLIMSOLL_CHECK(ids[i] >= 0 && ids[i] < dtable.dim(0));
    float* row = dtable.data<float>() + ids[i] * width;
    const float* gradient = dy.data<float>() + static_cast<std::int64_t>(i) * width;
    for (std::int64_t d = 0; d < width; ++d) row[d] += gradient[d];
  }
}

void columns_backward(const Tensor& dy, std::int64_t begin, Tensor& dx) {
  const std::int64_t width = dy.dim(1);
  PLIMSOLL_CHECK(dy.dim(0) == dx.dim(0) && begin >= 0 && begin + width <= dx.dim(1));
  if (TrainingDevice* gpu = training_device(dy)) return gpu->columns_backward(dy, begin, dx);
  for (std::int64_t row = 0; row < dy.dim(0); ++row) {
    const float* from = dy.data<float>() + row * width;
    float* to = dx.data<float>() + row * dx.dim(1) + begin;
    for (std::int64_t i = 0; i < width; ++i) to[i] += from[i];
  }
}

void dropout_backward(const Tensor& dy, double share, std::uint64_t seed, Tensor& dx) {
  if (TrainingDevice* gpu = training_device(dy)) return gpu->dropout_backward(dy, share, seed, dx);
  add(dx, dropout(dy, share, seed));
}

namespace {

kernels::AttentionTrainingArgs sequence_args(const TrainingAttention& a, std::size_t index) {
  const std::int64_t begin = a.bounds[index];
  kernels::AttentionTrainingArgs args;
  args.head_dim = a.head_dim;
  args.heads = a.settings.heads;
  args.kv_heads = a.k.dim(1) / a.head_dim;
  args.q = a.q.data<float>() + begin * a.q.dim(1);
  args.k = a.k.data<float>() + begin * a.k.dim(1);
  args.v = a.v.data<float>() + begin * a.v.dim(1);
  args.length = a.bounds[index + 1] - begin;
  args.scale = a.settings.scale;
  args.window = a.settings.window.value_or(0);
  // Handles share their storage; the kernel says which of forward and backward writes.
  args.out = Tensor(a.out).data<float>() + begin * a.q.dim(1);
  args.log_sum = Tensor(a.log_sum).data<float>() + begin * a.settings.heads;
  return args;
}

/// Multiplications and additions of one product of scores.
std::int64_t score_operations(const TrainingAttention& a) {
  std::int64_t pairs = 0;
  for (std::size_t i = 0; i + 1 < a.bounds.size(); ++i) {
    const std::int64_t n = a.bounds[i + 1] - a.bounds[i];
    const std::int64_t window = std::min(n, a.settings.window.value_or(n));
    pairs += window * (window + 1) / 2 + (n - window) * window;
  }
  return 2 * pairs * a.q.dim(1);
}

void check(const TrainingAttention& a) {
  PLIMSOLL_CHECK(a.bounds.size() >= 2 && a.bounds.back() == a.q.dim(0) &&
                 a.q.dim(1) == a.settings.heads * a.head_dim && a.k.size() == a.v.size() &&
                 a.settings.heads % (a.k.dim(1) / a.head_dim) == 0);
}

/// body(sequence, first KV head, one past the last) spread over the team.
template <class Body>
void for_each_head(const TrainingAttention& a, const Body& body) {
  const std::int64_t kv_heads = a.k.dim(1) / a.head_dim;
  const auto sequences = static_cast<std::int64_t>(a.bounds.size()) - 1;
  parallel_for(sequences * kv_heads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t task = begin; task < end; ++task) {
      const std::int64_t head = task % kv_heads;
      body(static_cast<std::size_t>(task / kv_heads), head, head + 1);
    }
  });
}

}  // namespace

void training_attention(TrainingAttention& a) {
  check(a);
  if (TrainingDevice* gpu = training_device(a.q)) return gpu->attention(a);
  a.out = Tensor::empty(DType::f32, a.q.shape());
  a.log_sum = Tensor::empty(DType::f32, {a.q.dim(0) * a.settings.heads});
  const trace::Scope scope("training_attention", 2 * (bytes(a.q) + bytes(a.k)),
                           2 * score_operations(a));
  for_each_head(a, [&](std::size_t sequence, std::int64_t begin, std::int64_t end) {
    kernels::attention_training_forward(sequence_args(a, sequence), begin, end);
  });
}

void training_attention_backward(const TrainingAttention& a, const Tensor& dout, Tensor& dq,
                                 Tensor& dk, Tensor& dv) {
  PLIMSOLL_CHECK(dout.size() == a.q.size() && dq.size() == a.q.size() && dk.size() == a.k.size() &&
                 dv.size() == a.v.size());
  if (TrainingDevice* gpu = training_device(dout))
    return gpu->attention_backward(a, dout, dq, dk, dv);
  const trace::Scope scope("training_attention_backward", 4 * (bytes(a.q) + bytes(a.k)),
                           5 * score_operations(a));
  for_each_head(a, [&](std::size_t sequence, std::int64_t begin, std::int64_t end) {
    kernels::AttentionGradientArgs args;
    args.forward = sequence_args(a, sequence);
    const std::int64_t row = a.bounds[sequence];
    args.dout = dout.data<float>() + row * a.q.dim(1);
    args.dq = dq.data<float>() + row * a.q.dim(1);
    args.dk = dk.data<float>() + row * a.k.dim(1);
    args.dv = dv.data<float>() + row * a.v.dim(1);
    kernels::attention_training_backward(args, begin, end);
  });
}

void cross_entropy(Tensor& logits, std::span<const std::int32_t> targets, float weight,
                   Tensor& total) {
  const std::int64_t rows = logits.dim(0);
  PLIMSOLL_CHECK(rows == static_cast<std::int64_t>(targets.size()));
  for (const std::int32_t target : targets)
    PLIMSOLL_CHECK(target >= 0 && target < logits.dim(1), "target {}", target);
  if (TrainingDevice* gpu = training_device(logits))
    return gpu->cross_entropy(logits, targets, weight, total);
  const trace::Scope scope("cross_entropy", 2 * bytes(logits), 8 * logits.size());
  std::vector<double> losses(targets.size());
  kernels::cross_entropy(
      {logits.data<float>(), rows, logits.dim(1), targets.data(), losses.data(), weight});
  total.data<double>()[0] += std::accumulate(losses.begin(), losses.end(), 0.0);
}

}  // namespace plimsoll::ops
