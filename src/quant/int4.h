// int4: four-bit uniform weights with a scale and a zero point a group of columns; and the packing
// that it shares with gptq: the GPTQ v1 checkpoint layout (Frantar et al., arXiv:2210.17323;
// AutoGPTQ).
//
//   codes [columns/8, rows] i32     eight codes along the columns, the lowest nibble first:
//         codes[c/8][r] = code(r, c) << 4 (c%8) | ...
//   zeros [groups, rows/8] i32      eight zero points along the rows, each stored minus one
//         zeros[g][r/8] = (zero(r, g) - 1) << 4 (r%8) | ...
//   scales [groups, rows] f16
//   group_index [columns] i32       c / group
//   w ~ scale * (code - zero)
//
// A stored zero of 15 (zero point 0, wrapped) is read as 0 by some loaders and as 16 by others, so
// we write zero points of 1 to 15 only. Rows and columns must be multiples of 8; the last group may
// be short.
//
// Asymmetric: the range of the group, zero included, over 15 steps. Symmetric: +-absmax over 15
// steps, zero point 8. Either way the error is at most half a step, plus what rounding the scale to
// f16 takes from the range's ends: 15 steps * 2^-11.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "quant/codec.h"

namespace plimsoll::quant {

/// Scale (exactly representable in f16, > 0) and zero point (1..15) of one group of one row.
struct GroupGrid {
  float scale = 1;
  int zero = 8;

  /// Nearest code, 0..15.
  int code(float value) const;
  float value(int code) const { return scale * static_cast<float>(code - zero); }
};

/// The grid of a group by its extremes; InputError naming `name` when f16 cannot hold the scale.
GroupGrid group_grid(float lowest, float highest, bool symmetric, std::string_view name);
/// Grid over values[0], values[1], ..., values[count - 1].
GroupGrid group_grid(const float* values, std::int64_t count, bool symmetric,
                     std::string_view name);

/// An empty int4 or gptq matrix with its tensors allocated, codes and zeros 0, group_index = c /
/// group.
Matrix make_grouped(WeightFormat format, std::int64_t rows, std::int64_t columns, int group);
/// Writes one row's codes[columns] and grids[groups]. Eight neighbouring rows share words of zeros:
/// only one thread may write rows 8k..8k+7.
void store_grouped_row(Matrix& matrix, std::int64_t row, std::span<const std::uint8_t> codes,
                       std::span<const GroupGrid> grids);

Matrix encode_int4(const Tensor& weights, const EncodeOptions& options, std::string_view name);
/// int4 and gptq.
void decode_grouped_rows(const Matrix& matrix, std::int64_t begin, std::int64_t end, float* out);

/// Code of (row, column) in codes[columns/8][rows].
inline int grouped_code(const std::int32_t* codes, std::int64_t rows, std::int64_t row,
                        std::int64_t column) {
  const auto word = static_cast<std::uint32_t>(codes[column / 8 * rows + row]);
  return static_cast<int>(word >> (4 * (column % 8)) & 0xf);
}
/// Zero point of (group, row) in zeros[groups][rows/8]: the stored nibble plus one, modulo 16.
inline int grouped_zero(const std::int32_t* zeros, std::int64_t rows, std::int64_t group,
                        std::int64_t row) {
  const auto word = static_cast<std::uint32_t>(zeros[group * (rows / 8) + row / 8]);
  return static_cast<int>(((word >> (4 * (row % 8))) + 1) & 0xf);
}

}  // namespace plimsoll::quant
