// Norms, embeddings, rotary positions, activations: shapes checked, work traced.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/tensor.h"
#include "quant/matrix.h"

namespace plimsoll::ops {

/// Rows of the table [vocab, width] (fp32, fp16 or bf16), widened: [ids, width] f32.
Tensor embedding(const quant::Matrix& table, std::span<const std::int32_t> ids);

Tensor rms_norm(const Tensor& x, const Tensor& weight, float epsilon);
Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, float epsilon);

/// Cosines and sines for the rows of a batch: computed once a step, used by every layer.
struct RopeTable {
  Tensor cosine;  // [rows, head_dim / 2]
  Tensor sine;
};
RopeTable rope_table(std::span<const std::int64_t> positions, std::span<const float> frequencies);
/// Rotates x [rows, heads * head_dim] in place.
void rope(Tensor& x, std::int64_t head_dim, const RopeTable& table);

/// x += y
void add(Tensor& x, const Tensor& y);
/// x += scale * y
void add_scaled(Tensor& x, const Tensor& y, float scale);
/// silu(gate) * up, into gate.
void swiglu(Tensor& gate, const Tensor& up);
void gelu(Tensor& x, bool tanh_form);

}  // namespace plimsoll::ops
