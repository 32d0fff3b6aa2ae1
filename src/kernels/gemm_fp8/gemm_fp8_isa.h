// What the ISA files of gemm_fp8 implement. Raw pointers only, since they include this.
//
// E4M3 is SEEEEMMM with bias 7, binary16 SEEEEEMMMMMMMMMM with bias 15: with the code's exponent
// and mantissa moved to bits 13..7 of a binary16 and its sign to bit 15, the half is the code's
// value times 2^-8, subnormals included. The factor goes into the row's scale. Only NaN (S1111111)
// comes out as a number; a row that holds one is found on the way and its outputs set to NaN, which
// is what any product with it gives.
//
// A register of bytes is split into even bytes and odd bytes of 16 bits each, and each of those
// into a lower and an upper half of `lanes` fp32 values. Activations, packed in groups of 4 * lanes
// columns, follow:
//
//   packed[group][parity][half][lane] = x[group * 4 * lanes + half * 2 * lanes + lane * 2 + parity]
#pragma once

#include <cstdint>

namespace plimsoll::kernels {

/// Weights of some consecutive output rows.
struct Fp8Rows {
  const std::uint8_t* codes;  // [outputs, columns]
  const float* scales;        // [outputs]
  std::int64_t columns;
  std::int64_t outputs;
};

/// Activation rows that one call multiplies at most.
inline constexpr std::int64_t kFp8Rows = 4;
inline constexpr float kFp8HalfScale = 256;

/// y[r][n] = sum over k of x[r][k] w[n][k] for r < rows <= kFp8Rows and n < w.outputs.
using Fp8Product = void (*)(const Fp8Rows& w, const float* packed, std::int64_t packed_stride,
                            std::int64_t rows, float* y, std::int64_t y_stride);
/// tile[n][k - begin] = weights at packed positions [begin, end), zero in the padding. begin and
/// end are multiples of the packing group.
using Fp8Decode = void (*)(const Fp8Rows& w, std::int64_t begin, std::int64_t end, float* tile,
                           std::int64_t tile_stride);

void fp8_product_avx2(const Fp8Rows& w, const float* packed, std::int64_t packed_stride,
                      std::int64_t rows, float* y, std::int64_t y_stride);
void fp8_decode_avx2(const Fp8Rows& w, std::int64_t begin, std::int64_t end, float* tile,
                     std::int64_t tile_stride);
void fp8_product_avx512(const Fp8Rows& w, const float* packed, std::int64_t packed_stride,
                        std::int64_t rows, float* y, std::int64_t y_stride);
void fp8_decode_avx512(const Fp8Rows& w, std::int64_t begin, std::int64_t end, float* tile,
                       std::int64_t tile_stride);

}  // namespace plimsoll::kernels
