// Gradients of the operations that training goes through: shapes checked, work traced. All add to
// what they are given, so that a value used twice gets both gradients.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ops/attention.h"
#include "ops/elementwise.h"
#include "ops/linear.h"

namespace plimsoll::ops {

/// dx [rows, in] += scale * dy [rows, out] W. W of any format: what is not fp32 is decoded some
/// rows at a time, never whole. (The gradient goes through the decoded weights, as bitsandbytes has
/// it, also where the forward's product is int8's.)
void linear_input_backward(const quant::Matrix& weight, const Tensor& dy, Tensor& dx,
                           float scale = 1);
/// The same through a layer's own weights, wherever they lie.
void linear_input_backward(const Linear& layer, const Tensor& dy, Tensor& dx);
/// dw [out, in] += scale * dy^T x.
void linear_weight_backward(const Tensor& dy, const Tensor& x, Tensor& dw, float scale = 1);
/// db [out] += sum of dy's rows.
void linear_bias_backward(const Tensor& dy, Tensor& db);

/// The undefined tensors among dweight and dbias are not wanted.
void rms_norm_backward(const Tensor& x, const Tensor& weight, float epsilon, const Tensor& dy,
                       Tensor& dx, Tensor dweight);
void layer_norm_backward(const Tensor& x, const Tensor& weight, float epsilon, const Tensor& dy,
                         Tensor& dx, Tensor dweight, Tensor dbias);
/// In place.
void rope_backward(Tensor& dx, std::int64_t head_dim, const RopeTable& table);
void swiglu_backward(const Tensor& gate, const Tensor& up, const Tensor& dy, Tensor& dgate,
                     Tensor& dup);
void gelu_backward(const Tensor& x, const Tensor& dy, bool tanh_form, Tensor& dx);
/// dtable[ids[i]] += dy[i].
void embedding_backward(std::span<const std::int32_t> ids, const Tensor& dy, Tensor& dtable);
/// dx's columns [begin, begin + dy.dim(1)) += dy.
void columns_backward(const Tensor& dy, std::int64_t begin, Tensor& dx);
/// dx += dropout(dy, share, seed)
void dropout_backward(const Tensor& dy, double share, std::uint64_t seed, Tensor& dx);

/// Whole sequences one after the other in a flat list of rows: where each begins, and the end.
using SequenceBounds = std::vector<std::int64_t>;

/// Causal attention within each sequence, without a cache (kernels/attention_training).
struct TrainingAttention {
  Tensor q, k, v;  // [rows, heads * head_dim], [rows, kv_heads * head_dim] twice
  SequenceBounds bounds;
  AttentionSettings settings;
  std::int64_t head_dim = 0;
  Tensor out;                // as q
  Tensor log_sum;            // [rows * heads], in the kernel's order
  Tensor bounds_there = {};  // on a GPU: `bounds` as it reads them
};
/// Fills `out` and `log_sum`.
void training_attention(TrainingAttention& attention);
void training_attention_backward(const TrainingAttention& attention, const Tensor& dout, Tensor& dq,
                                 Tensor& dk, Tensor& dv);

/// Replaces logits [rows, vocab] by the gradient of weight * sum of losses, and adds that sum of
/// losses (without the weight), in nats, to `total`, an f64 that lies where the logits do. Weight
/// 0: the loss alone.
void cross_entropy(Tensor& logits, std::span<const std::int32_t> targets, float weight,
                   Tensor& total);

}  // namespace plimsoll::ops
