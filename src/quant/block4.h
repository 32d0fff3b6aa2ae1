// nf4, fp4 (and -dq), log4: four-bit codes into a table of 16 levels, one absmax scale a block
// of 64.
//
// Blocks run through the matrix in row-major order without regard to its rows:
//
//   element   0  1 | 2  3 | ... | 62 63 || 64 65 | ...           n = rows * columns, even
//   codes     byte 0  byte 1      byte 31   byte 32              high nibble first, u8 [n/2, 1]
//   scales    |------ scale 0 ---------| |-- scale 1 ...         f32 [ceil(n/64)]
//   w ~ table[code] * scale                                      the last block may be short
//
// nf4   the 16 quantiles of a normal distribution (QLoRA, Dettmers et al., arXiv:2305.14314),
// ascending fp4   sign, two exponent bits, one mantissa bit, in bitsandbytes' order of codes log4
// sign, three-bit exponent e: 0 for e = 0, else +-2^(e-7), so that a product is a shift
//       (LogNet: Lee et al., ICASSP 2017; Miyashita et al., arXiv:1603.01025). Zero needs a level:
//       without one, a pruned or padded row would come back as noise of absmax / 128. The nearest
//       level is taken in the linear domain, which has the least squared error.
//
// Codes and scales of nf4 and fp4 are those of bitsandbytes' CUDA kernels byte for byte. (With one
// exception: torch sums the scales of a large matrix in f32 in an order of its own, so that the
// last bit of nested_offset may differ from our exact sum.) One oddity comes with that: a block of
// zeros gets code 0 throughout, which nf4 decodes to -1 * 0.
//
// -dq stores the scales in 8 bits ("double quantisation"), in blocks of 256 scales:
//
//   nested_offset = f32(sum of absmax) * f32(1 / count)
//   scales[b]     = nearest code of (absmax[b] - nested_offset) / nested_scales[b / 256]
//   absmax[b]     ~ nested_table[scales[b]] * nested_scales[b / 256] + nested_offset
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "quant/codec.h"

namespace plimsoll::quant {

inline constexpr int kBlock4 = 64;
inline constexpr int kNestedBlock = 256;

/// The 16 levels of nf4, fp4 or log4 (the -dq formats: those of their base), by code.
std::span<const float> block4_levels(WeightFormat format);

Matrix encode_block4(WeightFormat format, const Tensor& weights, const EncodeOptions& options,
                     std::string_view name);
void decode_block4_rows(const Matrix& matrix, std::int64_t begin, std::int64_t end, float* out);

/// Every block's scale as decoding uses it: f32 [ceil(n / block)], double quantisation undone.
std::vector<float> block4_scales(const Matrix& matrix);

/// Code of element i = row * columns + column.
inline int block4_code(const std::uint8_t* codes, std::int64_t i) {
  return (i % 2 == 0) ? codes[i / 2] >> 4 : codes[i / 2] & 0xf;
}

}  // namespace plimsoll::quant
