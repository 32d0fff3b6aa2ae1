// Norms, embeddings, rotary positions, activations: shapes checked, work traced.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/tensor.h"
#include "quant/matrix.h"

namespace plimsoll::ops {

/// Without a device's context these compute where their tensors lie, as training does; ops/layer.h
/// has what models call.

/// f32 where `x` lies: uninitialised, zeros, or its elements.
Tensor empty_beside(const Tensor& x, Shape shape);
Tensor zeros_beside(const Tensor& x, Shape shape);
Tensor copy_of(const Tensor& x);

/// Rows of the table [vocab, width] (fp32, fp16 or bf16), widened: [ids, width] f32.
Tensor embedding(const quant::Matrix& table, std::span<const std::int32_t> ids);

Tensor rms_norm(const Tensor& x, const Tensor& weight, float epsilon);
Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, float epsilon);

/// Cosines and sines for the rows of a batch: computed once a step, used by every layer.
struct RopeTable {
  Tensor cosine;  // [rows, head_dim / 2]
  Tensor sine;
};
class Device;
/// On `device` where there is one.
RopeTable rope_table(std::span<const std::int64_t> positions, std::span<const float> frequencies,
                     Device* device = nullptr);
/// Rotates x [rows, heads * head_dim] in place.
void rope(Tensor& x, std::int64_t head_dim, const RopeTable& table);

/// x += y
void add(Tensor& x, const Tensor& y);
/// x += scale * y
void add_scaled(Tensor& x, const Tensor& y, float scale);
/// silu(gate) * up, into gate.
void swiglu(Tensor& gate, const Tensor& up);
void gelu(Tensor& x, bool tanh_form);

/// Columns [begin, begin + width) of x [rows, more].
Tensor columns(const Tensor& x, std::int64_t begin, std::int64_t width);
/// x [rows, width] with elements left out and the others scaled up by 1 / (1 - share): which ones
/// follows from seed, row and column alone.
Tensor dropout(const Tensor& x, double share, std::uint64_t seed);

}  // namespace plimsoll::ops
