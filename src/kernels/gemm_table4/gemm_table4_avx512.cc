#include <immintrin.h>

#include "kernels/gemm_table4/gemm_table4_isa.h"

namespace plimsoll::kernels {

namespace {

// One register of codes is 128 weights: two scale blocks, one in each half.
constexpr std::int64_t kGroup = 128;
constexpr std::int64_t kBlock = 64;
constexpr __mmask16 kUpperHalf = 0xff00;
constexpr __mmask16 kLowerHalf = 0x00ff;

__m512 weights_of(__m512i codes, int nibble, __m512 table) {
  // vpermps reads the low four bits of each lane: no mask needed.
  return _mm512_permutexvar_ps(_mm512_srli_epi32(codes, static_cast<unsigned>(4 * nibble)), table);
}

struct Group {
  __m512i codes;
  __m512 scales;
};

Group load_group(const std::uint8_t* codes, const float* scales, std::int64_t group) {
  codes += group * (kGroup / 2);
  scales += group * (kGroup / kBlock);
  return {
      _mm512_loadu_si512(codes),
      _mm512_mask_broadcastss_ps(_mm512_set1_ps(scales[0]), kUpperHalf, _mm_load_ss(scales + 1))};
}

// The last 64 columns of a row that is no multiple of 128: scale zero makes the upper half vanish.
Group load_half_group(const std::uint8_t* codes, const float* scales, std::int64_t group) {
  codes += group * (kGroup / 2);
  scales += group * (kGroup / kBlock);
  return {_mm512_maskz_loadu_epi32(kLowerHalf, codes),
          _mm512_maskz_broadcastss_ps(kLowerHalf, _mm_load_ss(scales))};
}

template <int R>
void accumulate(const Group& group, __m512 table, const float* packed, std::int64_t packed_stride,
                __m512* total) {
  __m512 sum[R];
  for (int r = 0; r < R; ++r) sum[r] = _mm512_setzero_ps();
#pragma GCC unroll 8
  for (int nibble = 0; nibble < 8; ++nibble) {
    const __m512 weights = weights_of(group.codes, nibble, table);
    for (int r = 0; r < R; ++r) {
      const __m512 x = _mm512_loadu_ps(packed + r * packed_stride + nibble * 16);
      sum[r] = _mm512_fmadd_ps(weights, x, sum[r]);
    }
  }
  for (int r = 0; r < R; ++r) total[r] = _mm512_fmadd_ps(sum[r], group.scales, total[r]);
}

template <int R>
void product(const Table4Rows& w, const float* packed, std::int64_t packed_stride, float* y,
             std::int64_t y_stride) {
  const __m512 table = _mm512_loadu_ps(w.table);
  const std::int64_t groups = w.columns / kGroup;
  for (std::int64_t n = 0; n < w.outputs; ++n) {
    const std::uint8_t* codes = w.codes + n * (w.columns / 2);
    const float* scales = w.scales + n * (w.columns / kBlock);
    __m512 total[R];
    for (int r = 0; r < R; ++r) total[r] = _mm512_setzero_ps();
    for (std::int64_t g = 0; g < groups; ++g) {
      accumulate<R>(load_group(codes, scales, g), table, packed + g * kGroup, packed_stride, total);
    }
    if (w.columns % kGroup != 0) {
      accumulate<R>(load_half_group(codes, scales, groups), table, packed + groups * kGroup,
                    packed_stride, total);
    }
    for (int r = 0; r < R; ++r) y[r * y_stride + n] = _mm512_reduce_add_ps(total[r]);
  }
}

void decode_group(const Group& group, __m512 table, float* out) {
#pragma GCC unroll 8
  for (int nibble = 0; nibble < 8; ++nibble) {
    const __m512 levels = weights_of(group.codes, nibble, table);
    _mm512_storeu_ps(out + nibble * 16, _mm512_mul_ps(levels, group.scales));
  }
}

}  // namespace

void table4_product_avx512(const Table4Rows& w, const float* packed, std::int64_t packed_stride,
                           std::int64_t rows, float* y, std::int64_t y_stride) {
  switch (rows) {
    case 1:
      return product<1>(w, packed, packed_stride, y, y_stride);
    case 2:
      return product<2>(w, packed, packed_stride, y, y_stride);
    case 3:
      return product<3>(w, packed, packed_stride, y, y_stride);
    default:
      return product<4>(w, packed, packed_stride, y, y_stride);
  }
}

void table4_decode_avx512(const Table4Rows& w, std::int64_t begin, std::int64_t end, float* tile,
                          std::int64_t tile_stride) {
  const __m512 table = _mm512_loadu_ps(w.table);
  for (std::int64_t n = 0; n < w.outputs; ++n) {
    const std::uint8_t* codes = w.codes + n * (w.columns / 2);
    const float* scales = w.scales + n * (w.columns / kBlock);
    float* out = tile + n * tile_stride;
    for (std::int64_t g = begin / kGroup; g < end / kGroup; ++g, out += kGroup) {
      const bool whole = (g + 1) * kGroup <= w.columns;
      decode_group(whole ? load_group(codes, scales, g) : load_half_group(codes, scales, g), table,
                   out);
    }
  }
}

}  // namespace plimsoll::kernels
