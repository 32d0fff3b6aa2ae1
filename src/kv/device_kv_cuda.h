// Keys and values of one layer in a GPU's memory, as its kernels see them: many sequences' at once,
// and all that changes from step to step in device memory, so that one captured graph serves every
// position. nvcc reads this header: it includes none that needs fmt.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kv/kv_view.h"

#ifdef __CUDACC__
#define PLIMSOLL_HOST_DEVICE __host__ __device__
#else
#define PLIMSOLL_HOST_DEVICE
#endif

namespace plimsoll::kv {

/// Paged like KvView, with blocks of the same bytes (KvLayout says how many): 16 tokens of every KV
/// head, all heads' keys and behind them all heads' values. Only the order within a head's part is
/// the GPU's own:
///
///   fp16, bf16         keys and values  [token / 8][element / 8][token % 8][element % 8]: matrices
///   of
///                      eight rows of 16 bytes, as ldmatrix takes them into registers and wgmma
///                      into the tensor cores. Blocks side by side in shared memory go on in the
///                      same order.
///   int8               tiles of 16 elements x 16 tokens, each in the order of the tensor cores'
///                      operand A of mma.m16n8k16: lane l has 8 values side by side, for keys
///                        (token, element) (g, c) (g, c+1) (g+8, c) (g+8, c+1)
///                                         (g, c+8) (g, c+9) (g+8, c+8) (g+8, c+9)
///                      with g = l / 4, c = l % 4 * 2, and for values the same with token and
///                      element exchanged. So a warp takes a tile with one load. Besides, key and
///                      value scales [kv head][token 0..15] f32, absmax / 127
///   f32                keys    [element / 4][token 0..15][element % 4]
///                      values  [token][element]
///
/// Elements are padded to a multiple of 16; the padding of keys is zero. What lies in slots that
/// no token was written to is never used, NaN or not.
struct DeviceKv {
  DeviceKv() = default;
  /// A layer of a pool in the GPU's memory; the view's table is not taken.
  explicit DeviceKv(const KvView& view)
      : layout(view.layout),
        keys(view.keys),
        values(view.values),
        key_scales(view.key_scales),
        value_scales(view.value_scales) {}

  KvLayout layout;
  std::byte* keys = nullptr;    // the layer's pool: block b's begin at b * layout.block_bytes()
  std::byte* values = nullptr;  // likewise: keys + layout.part_bytes()
  float* key_scales = nullptr;  // int8: block b's begin at b * layout.block_scales()
  float* value_scales = nullptr;
  /// [sequences, table_stride]: block ids, one for every 16 tokens of a sequence, by absolute
  /// position (what a window has passed may be anything).
  const std::int32_t* tables = nullptr;
  std::int32_t table_stride = 0;
  /// [rows]: the line of `tables` of each row (token) of the step. nullptr: row r has line r.
  const std::int32_t* sequences = nullptr;
  /// [rows]: where each row's token stands in its sequence, from 0; its keys are those up to
  /// itself.
  const std::int32_t* positions = nullptr;
};

/// Where row and column of a 16 x 16 tile lie in operand A's order, counted in elements.
PLIMSOLL_HOST_DEVICE constexpr int device_tile_offset(int row, int column) {
  return (row % 8 * 4 + column % 8 / 2) * 8 + (row / 8 + column / 8 * 2) * 2 + column % 2;
}

/// Where a key's (or value's) element of the token in `slot` (position % 16) lies in its head's
/// part of a block, counted in elements.
PLIMSOLL_HOST_DEVICE constexpr int device_offset(KvFormat format, int padded_dim, bool key,
                                                 int slot, int element) {
  switch (format) {
    case KvFormat::f32:
      return key ? (element / 4 * static_cast<int>(kBlockTokens) + slot) * 4 + element % 4
                 : slot * padded_dim + element;
    case KvFormat::int8:
      return element / 16 * 256 + (key ? device_tile_offset(slot, element % 16)
                                       : device_tile_offset(element % 16, slot));
    default:
      return (slot / 8 * (padded_dim / 8) + element / 8) * 64 + slot % 8 * 8 + element % 8;
  }
}

}  // namespace plimsoll::kv
