// What the ISA files of gemm_table4 implement. Raw pointers only, since they include this.
//
// Activations come packed in groups of 8 * lanes columns (lanes = fp32 values in a register),
// because eight shifts of one register of codes give eight registers of weights:
//
//   packed[group][nibble][lane] = x[group * 8 * lanes + lane * 8 + (nibble ^ 1)]
//
// nibble counts from the least significant of a 32-bit word; ^ 1 since the first code of a byte is
// in its high nibble. Decoded tiles have the same order.
#pragma once

#include <cstdint>

namespace plimsoll::kernels {

/// Weights of some consecutive output rows.
struct Table4Rows {
  const std::uint8_t* codes;  // of the first of them; columns / 2 bytes a row
  const float* scales;        // one for each 64 codes, columns / 64 a row
  const float* table;         // [16]
  std::int64_t columns;       // a multiple of 64
  std::int64_t outputs;
};

/// Activation rows that one call multiplies at most.
inline constexpr std::int64_t kTable4Rows = 4;

/// y[r][n] = sum over k of x[r][k] w[n][k] for r < rows <= kTable4Rows and n < w.outputs.
using Table4Product = void (*)(const Table4Rows& w, const float* packed, std::int64_t packed_stride,
                               std::int64_t rows, float* y, std::int64_t y_stride);
/// tile[n][k - begin] = weights at packed positions [begin, end), zero in the padding. begin and
/// end are multiples of the packing group.
using Table4Decode = void (*)(const Table4Rows& w, std::int64_t begin, std::int64_t end,
                              float* tile, std::int64_t tile_stride);

void table4_product_avx2(const Table4Rows& w, const float* packed, std::int64_t packed_stride,
                         std::int64_t rows, float* y, std::int64_t y_stride);
void table4_decode_avx2(const Table4Rows& w, std::int64_t begin, std::int64_t end, float* tile,
                        std::int64_t tile_stride);
void table4_product_avx512(const Table4Rows& w, const float* packed, std::int64_t packed_stride,
                           std::int64_t rows, float* y, std::int64_t y_stride);
void table4_decode_avx512(const Table4Rows& w, std::int64_t begin, std::int64_t end, float* tile,
                          std::int64_t tile_stride);

}  // namespace plimsoll::kernels
