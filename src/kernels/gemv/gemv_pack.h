// Stored matrices into the layout that gemv_layout.h draws. On the host, in every build.
#pragma once

#include <span>

#include "core/tensor.h"
#include "core/variant.h"
#include "kernels/gemv/gemv_layout.h"
#include "quant/matrix.h"

namespace plimsoll::kernels::gemv {

/// Packed weights on the host.
struct Packed {
  Format format = Format::f16;
  Order order;
  std::int64_t columns = 0;  // of the stored matrix
  std::int64_t tiles = 0;
  std::int64_t chunks = 0;  // of a tile
  Tensor codes;             // u8 [tiles, chunks, 512]
  Tensor scales;            // u8 [tiles, chunks, scale_bytes]; undefined: none
  Tensor row_meta;          // f32 [tiles, 16, row_meta_floats]; undefined: none
  /// table4: the levels as bytes, rint(level / level_unit), for two byte permutations whose results
  /// are added; see split_levels().
  std::uint32_t low_levels[2] = {};
  std::uint32_t high_levels[2] = {};
  float level_unit = 0;
  Tensor levels;        // f32 [16]: the same unrounded
  Tensor nested_table;  // f32 [256], table4_dq
  /// int4: the stored column of each packed one, -1 where there is none (the code is 0 then):
  /// i32 [chunks * 64]. Undefined: packed as stored.
  Tensor gather;
  float outlier_threshold = 0;  // int8
  float input_scale = 0;        // int8_static
  std::int32_t input_zero = 0;
  DType source_dtype = DType::f16;
};

/// Whether the matrices, one over the other, can be packed in this order.
Support can_pack(std::span<const quant::Matrix* const> parts, const Order& order);
/// Packs them; InternalError where can_pack() says no.
Packed pack(std::span<const quant::Matrix* const> parts, const Order& order);

/// Levels of a 4-bit table as a byte permutation (PRMT) gives them. PRMT takes four bytes out of
/// eight by four 4-bit selectors, the upper bit of which asks for the byte's sign instead. So with
/// a code itself as the selector, low[code] comes out for code < 8 and for the others 0 or -1, the
/// sign of low[code - 8]; and with the upper bit turned, high[code - 8] for code >= 8 and otherwise
/// the sign of high[code]. The bytes are chosen such that the sum of both is rint(126 level /
/// largest level): no selection and no table in memory.
struct SplitLevels {
  std::int8_t low[8];
  std::int8_t high[8];
  float unit;  // largest |level| / 126; 0 becomes 1
};
SplitLevels split_levels(std::span<const float> levels);

}  // namespace plimsoll::kernels::gemv
