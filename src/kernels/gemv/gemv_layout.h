// Weights as a GPU's tensor cores take them at decode: packed once when a model is loaded, then
// read as one stream, each byte once a token.
//
// A matrix is cut into tiles of 16 rows and these into chunks of 512 bytes of codes, which a warp
// takes with one 16-byte load a lane: the fragment A of mma.m16n8. Lane 4g + t holds row g and row
// g + 8 of the tile, of each 8 bytes from column t * chunk_columns / 4 on:
//
//   lane 0                lane 1                     lane 4
//   row 0  | row 8        row 0, further on | row 8   row 1 | row 9
//   8 B    | 8 B          8 B               | 8 B     8 B   | 8 B
//
// (The order of columns within a product is free as long as the activations have the same one, so
// that the 8 bytes are neighbours in the stored matrix.)
//
//   format     columns of a chunk   scales of a chunk                        of each row (row_meta)
//   f32        8                    -                                        -
//   f16 bf16   16                   -                                        -
//   fp8        32                   -                                        scale
//   int8       32                   -                                        absmax
//   int8_static 32                  -                                        absmax, i32 sum of
//   codes table4     64                   f32 [8][2]: scales of rows g, g + 8      - table4_dq  64
//   u8 [8][2]: codes of the scales           see RowScales int4       64                   f16
//   [8][2], then u8 [8]: zero points of  -
//                                   row g, of g + 8 in the high nibble
//
// int4: of each 4 bytes the low nibbles are columns 0 to 3 and the high ones 4 to 7, so that a mask
// makes bytes of them. Where a group of columns that share scales is no whole number of chunks, or
// lies scattered (act-order), columns are sorted by group and padded: see Packed::gather.
//
// Chunks of a tile follow each other, then the next tile; the scales lie apart, in the same order,
// so that codes stay aligned to what memory delivers at a time. Which stored row is row j of a tile
// is the Order's business: rows that an epilogue combines lie in one lane's two rows.
//
// nvcc reads this header: it includes none of ours.
#pragma once

#include <cstdint>

#ifdef __CUDACC__
#define PLIMSOLL_HOST_DEVICE __host__ __device__
#else
#define PLIMSOLL_HOST_DEVICE
#endif

namespace plimsoll::kernels::gemv {

enum class Format : std::uint8_t {
  f32,
  f16,
  bf16,
  fp8,
  int8,
  int8_static,
  table4,
  table4_dq,
  int4
};

inline constexpr int kTileRows = 16;
inline constexpr int kCodeBytes = 512;

/// Columns of a chunk.
PLIMSOLL_HOST_DEVICE constexpr int chunk_columns(Format format) {
  switch (format) {
    case Format::f32:
      return 8;
    case Format::f16:
    case Format::bf16:
      return 16;
    case Format::fp8:
    case Format::int8:
    case Format::int8_static:
      return 32;
    default:
      return 64;
  }
}
/// Bytes of a chunk's scales.
PLIMSOLL_HOST_DEVICE constexpr int scale_bytes(Format format) {
  return format == Format::table4      ? 64
         : format == Format::table4_dq ? 16
         : format == Format::int4      ? 48
                                       : 0;
}
/// Floats that row_meta holds of each row.
PLIMSOLL_HOST_DEVICE constexpr int row_meta_floats(Format format) {
  return format == Format::table4_dq                       ? 4
         : format == Format::int8_static                   ? 2
         : format == Format::fp8 || format == Format::int8 ? 1
                                                           : 0;
}

/// table4_dq's row_meta. Scale of block k of the row = nested_table[code] * (k < border ? first :
/// second) + offset: a row of up to 256 blocks touches at most two blocks of scales.
struct RowScales {
  float first;
  float second;
  float offset;
  std::int32_t border;
};

/// Which rows of the matrix are rows g and g + 8 of a tile.
enum class Pairing : std::uint8_t {
  none,    // neighbours: 16 tile + g, 16 tile + g + 8
  halves,  // the matrix is gate over up: 8 tile + g of each
  heads    // elements i and i + head_dim / 2 of a head, which RoPE rotates together
};

struct Order {
  Pairing pairing = Pairing::none;
  int head_dim = 0;  // heads: a power of two, so that the GPU need not divide
  std::int64_t rows = 0;

  /// The stored row that row j of tile `tile` is; may be `rows` or more: padding.
  PLIMSOLL_HOST_DEVICE std::int64_t row(std::int64_t tile, int j) const {
    const std::int64_t pair = tile * 8 + j % 8;
    const bool second = j >= 8;
    switch (pairing) {
      case Pairing::halves:
        return pair + (second ? rows / 2 : 0);
      case Pairing::heads: {
        const std::int64_t half = head_dim / 2;
        const std::int64_t within = pair & (half - 1);
        return (pair - within) * 2 + within + (second ? half : 0);
      }
      default:
        return tile * kTileRows + j;
    }
  }
};

}  // namespace plimsoll::kernels::gemv
