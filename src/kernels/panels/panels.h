// Weights rearranged when a model is loaded, in the order in which the kernels consume them.
//
// A matrix [rows, columns] becomes ceil(rows / 32) panels of 32 outputs. A panel is a sequence of
// steps; a step is one unit (a word of 32 or of 16 bits) of each of its outputs, which holds as
// many neighbouring columns as fit:
//
//   step 0: | output 0, columns 0..c-1 | output 1 | ... | output 31 |     128 or 64 bytes
//   step 1: | output 0, columns c..2c-1 | ...
//
//   format       c   a unit                                              codes
//   fp32         1   the value                                           f32 [panels, steps, 32]
//   fp16         1   the value                                           f16 [panels, steps, 32]
//   bf16         2   two values, the first in the low half               bf16 [.., 32, 2]
//   fp8          2   two codes, the first in the low byte                u8 [panels, steps, 32, 2]
//   int8*        4   four codes + 128, the first in the lowest byte      u8 [panels, steps, 32, 4]
//   nf4* fp4*    8   byte j: column j low, column 4 + j high nibble      u8 [panels, steps, 32, 4]
//   log4 int4 gptq
//
// The scales of the 4-bit formats follow their panels. Tables: f32 [panels, columns/64, 32]; those
// of -dq come in pairs of blocks, u8 [panels, pairs, 64]: place 16 l + 4 j + e of a pair is that of
// 16 j + 4 l + e, counted through both blocks, since that is where two unpackings of bytes put it.
// int4 and gptq: f16 [panels, groups, 32], zeros u8 [panels, groups, 32] (the zero points
// themselves), table f32 [16] = 0, 1, ..., 15.
//
// Lanes of a register are outputs, so that a product takes one register of weights and one word of
// x for all lanes: no sums across lanes, one stream of memory whatever the number of rows, and
// every output's sum runs over the columns in their order. Outputs beyond the matrix are zero,
// columns beyond it too (int8: x is).
#pragma once

#include <cstdint>

#include "core/variant.h"
#include "quant/matrix.h"

namespace plimsoll::kernels {

inline constexpr std::int64_t kPanelOutputs = 32;
/// Columns of a 4-bit format that share a scale at least.
inline constexpr std::int64_t kPanelBlock = 64;

inline std::int64_t panel_count(std::int64_t rows) {
  return (rows + kPanelOutputs - 1) / kPanelOutputs;
}
/// Columns in a unit.
std::int64_t columns_a_step(quant::WeightFormat format);
/// Of all 32 outputs.
std::int64_t step_bytes(quant::WeightFormat format);
std::int64_t panel_steps(const quant::Matrix& matrix);
/// Of a panel's codes.
std::int64_t panel_bytes(const quant::Matrix& matrix);

/// Whether this CPU (as limited by --isa) has kernels for panels of this matrix.
Support can_pack(const quant::Matrix& matrix);

/// A stored matrix in panels: what is not mentioned here or above is shared with it. In parallel;
/// on huge pages. int8-static: scales come multiplied by quant::kInt8WeightScale, and zeros is i32
/// [rows], input_zero times the sum of a row's codes. fp8: a row that holds a NaN gets NaN as its
/// scale, which is what any product with it gives; kernels need not look. int4, gptq: group_index
/// is dropped.
quant::Matrix to_panels(const quant::Matrix& stored);

/// Row `row` of a dense matrix in panels, widened into out[columns].
void read_panel_row(const quant::Matrix& matrix, std::int64_t row, float* out);

}  // namespace plimsoll::kernels
