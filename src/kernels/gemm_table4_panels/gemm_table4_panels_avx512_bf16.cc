// Needs VBMI (vpermb), which the level avx512_bf16 has.
#include <immintrin.h>

#include "kernels/gemm_table4_panels/gemm_table4_panels_impl.h"

namespace plimsoll::kernels {

namespace {

// vpermb reads six bits of each index: with the 16 levels four times over, the upper two of them
// may be anything, and no mask is needed. Levels are unsigned here, 128 too large.
__m512i level_table(const std::int8_t* levels) {
  const __m128i signed_levels = _mm_loadu_si128(reinterpret_cast<const __m128i*>(levels));
  return _mm512_broadcast_i32x4(_mm_xor_si128(signed_levels, _mm_set1_epi8(-128)));
}

__m512i zero_points(const std::uint8_t* zeros) {
  return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(zeros)));
}

// One byte of the map's float of each code.
__m512i plane_of(__m512i codes, __mmask64 upper, const std::uint8_t* plane) {
  const __m512i low =
      _mm512_permutex2var_epi8(_mm512_loadu_si512(plane), codes, _mm512_loadu_si512(plane + 64));
  const __m512i high = _mm512_permutex2var_epi8(_mm512_loadu_si512(plane + 128), codes,
                                                _mm512_loadu_si512(plane + 192));
  return _mm512_mask_blend_epi8(upper, low, high);
}

// The scales of one pair of blocks into out[2][32].
[[gnu::always_inline]] inline void expand_pair(const Table4Nested& nested,
                                               const std::uint8_t* codes, const float* outer,
                                               float* out) {
  const __m512 offsets = _mm512_set1_ps(nested.offset);
  const __m512i code = _mm512_loadu_si512(codes);
  const __mmask64 upper = _mm512_movepi8_mask(code);
  const __m512i b0 = plane_of(code, upper, nested.planes);
  const __m512i b1 = plane_of(code, upper, nested.planes + 256);
  const __m512i b2 = plane_of(code, upper, nested.planes + 512);
  const __m512i b3 = plane_of(code, upper, nested.planes + 768);
  const __m512i low01 = _mm512_unpacklo_epi8(b0, b1);
  const __m512i high01 = _mm512_unpackhi_epi8(b0, b1);
  const __m512i low23 = _mm512_unpacklo_epi8(b2, b3);
  const __m512i high23 = _mm512_unpackhi_epi8(b2, b3);
  const __m512i values[] = {
      _mm512_unpacklo_epi16(low01, low23), _mm512_unpackhi_epi16(low01, low23),
      _mm512_unpacklo_epi16(high01, high23), _mm512_unpackhi_epi16(high01, high23)};
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const __m512 scaled =
        _mm512_mul_ps(_mm512_castsi512_ps(values[i]), _mm512_loadu_ps(outer + 16 * i));
    _mm512_storeu_ps(out + 16 * i, _mm512_add_ps(scaled, offsets));
  }
}

template <Scaling kScaling>
struct Panel : PanelWalk<kScaling, expand_pair> {
  // What comes off a level: the 128, and the zero point.
  __m512i offset(int half) const {
    const __m512i offset = _mm512_set1_epi32(128);
    if constexpr (kScaling != Scaling::zeros) return offset;
    return _mm512_add_epi32(offset,
                            zero_points(this->zeros + 16 * static_cast<std::ptrdiff_t>(half)));
  }
};

// R rows times P panels, of two registers of outputs each: at most 12 integer sums and 12 totals.
// Two panels are two streams of memory, and one word of x serves both.
template <int R, int P, Scaling kScaling>
void multiply_panels(const Table4TileArgs* panels) {
  const Table4TileArgs& a = panels[0];
  const __m512i table = level_table(a.levels);
  const auto* x = reinterpret_cast<const std::int32_t*>(a.x);
  Panel<kScaling> at[P];
  __m512 total[P][R][2];
#pragma GCC unroll 2
  for (int p = 0; p < P; ++p) {
    at[p].begin(panels[p]);
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) total[p][r][0] = total[p][r][1] = _mm512_setzero_ps();
  }
  for (std::int64_t b = 0; b < a.blocks; ++b) {
    __m512i sum[P][R][2];
#pragma GCC unroll 2
    for (int p = 0; p < P; ++p) {
      at[p].begin_block(b);
#pragma GCC unroll 6
      for (int r = 0; r < R; ++r) {
        const __m512i less = _mm512_set1_epi32(-a.x_sums[r * a.blocks + b]);
        sum[p][r][0] = _mm512_mullo_epi32(less, at[p].offset(0));
        sum[p][r][1] = _mm512_mullo_epi32(less, at[p].offset(1));
      }
    }
    for (int step = 0; step < 8; ++step, x += 2 * R) {
#pragma GCC unroll 2
      for (int p = 0; p < P; ++p) {
        const __m512i c0 = _mm512_loadu_si512(at[p].codes);
        const __m512i c1 = _mm512_loadu_si512(at[p].codes + 64);
        at[p].codes += 128;
        const __m512i low0 = _mm512_permutexvar_epi8(c0, table);
        const __m512i low1 = _mm512_permutexvar_epi8(c1, table);
#pragma GCC unroll 6
        for (int r = 0; r < R; ++r) {
          const __m512i xs = _mm512_set1_epi32(x[r]);
          sum[p][r][0] = _mm512_dpbusd_epi32(sum[p][r][0], low0, xs);
          sum[p][r][1] = _mm512_dpbusd_epi32(sum[p][r][1], low1, xs);
        }
        const __m512i high0 = _mm512_permutexvar_epi8(_mm512_srli_epi16(c0, 4), table);
        const __m512i high1 = _mm512_permutexvar_epi8(_mm512_srli_epi16(c1, 4), table);
#pragma GCC unroll 6
        for (int r = 0; r < R; ++r) {
          const __m512i xs = _mm512_set1_epi32(x[R + r]);
          sum[p][r][0] = _mm512_dpbusd_epi32(sum[p][r][0], high0, xs);
          sum[p][r][1] = _mm512_dpbusd_epi32(sum[p][r][1], high1, xs);
        }
      }
    }
#pragma GCC unroll 2
    for (int p = 0; p < P; ++p) {
      const __m512 s0 = _mm512_loadu_ps(at[p].scales);
      const __m512 s1 = _mm512_loadu_ps(at[p].scales + 16);
      at[p].end_block();
#pragma GCC unroll 6
      for (int r = 0; r < R; ++r) {
        const __m512 xs = _mm512_set1_ps(a.x_scales[r * a.blocks + b]);
        total[p][r][0] = _mm512_fmadd_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(sum[p][r][0]), xs), s0,
                                         total[p][r][0]);
        total[p][r][1] = _mm512_fmadd_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(sum[p][r][1]), xs), s1,
                                         total[p][r][1]);
      }
    }
  }
#pragma GCC unroll 2
  for (int p = 0; p < P; ++p) {
    const auto lanes = static_cast<std::uint32_t>((std::uint64_t{1} << panels[p].outputs) - 1);
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) {
      if (r >= a.rows) break;
      float* y = panels[p].y + r * a.y_stride;
      _mm512_mask_storeu_ps(y, static_cast<__mmask16>(lanes), total[p][r][0]);
      _mm512_mask_storeu_ps(y + 16, static_cast<__mmask16>(lanes >> 16), total[p][r][1]);
    }
  }
}

template <int R, int P = 1>
void multiply(const Table4TileArgs* panels) {
  const Table4Scales& scales = panels[0].scales;
  if (scales.nested != nullptr) return multiply_panels<R, P, Scaling::nested>(panels);
  if (scales.zeros != nullptr) return multiply_panels<R, P, Scaling::zeros>(panels);
  multiply_panels<R, P, Scaling::plain>(panels);
}

void quantize(const float* x, std::int64_t blocks, std::int8_t* codes, float* scales,
              std::int32_t* sums) {
  for (std::int64_t b = 0; b < blocks; ++b, x += 64, codes += 64) {
    const __m512 v0 = _mm512_loadu_ps(x);
    const __m512 v1 = _mm512_loadu_ps(x + 16);
    const __m512 v2 = _mm512_loadu_ps(x + 32);
    const __m512 v3 = _mm512_loadu_ps(x + 48);
    const float absmax =
        _mm512_reduce_max_ps(_mm512_max_ps(_mm512_max_ps(_mm512_abs_ps(v0), _mm512_abs_ps(v1)),
                                           _mm512_max_ps(_mm512_abs_ps(v2), _mm512_abs_ps(v3))));
    const bool zero = absmax < 0x1p-120f;
    const __m512 factor = _mm512_set1_ps(zero ? 0.0f : 127.0f / absmax);
    const __m512i c0 = _mm512_cvtps_epi32(_mm512_mul_ps(v0, factor));
    const __m512i c1 = _mm512_cvtps_epi32(_mm512_mul_ps(v1, factor));
    const __m512i c2 = _mm512_cvtps_epi32(_mm512_mul_ps(v2, factor));
    const __m512i c3 = _mm512_cvtps_epi32(_mm512_mul_ps(v3, factor));
    auto* out = reinterpret_cast<__m128i*>(codes);
    _mm_storeu_si128(out, _mm512_cvtepi32_epi8(c0));
    _mm_storeu_si128(out + 1, _mm512_cvtepi32_epi8(c1));
    _mm_storeu_si128(out + 2, _mm512_cvtepi32_epi8(c2));
    _mm_storeu_si128(out + 3, _mm512_cvtepi32_epi8(c3));
    scales[b] = zero ? 0.0f : absmax / 127.0f;
    sums[b] = _mm512_reduce_add_epi32(
        _mm512_add_epi32(_mm512_add_epi32(c0, c1), _mm512_add_epi32(c2, c3)));
  }
}

template <bool kZeros>
void decode_panel(const std::uint8_t* codes, std::int64_t blocks, const float* table,
                  const Table4Scales& a, float* out) {
  const __m512 levels = _mm512_loadu_ps(table);
  // Column c of a word is in nibble 2 (c mod 4) + c / 4; vpermps reads four bits of each lane.
  constexpr unsigned kShift[] = {0, 8, 16, 24, 4, 12, 20, 28};
  for (std::int64_t b = 0; b < blocks; ++b) {
    const std::int64_t group = b / a.blocks;
    const __m512 s0 = _mm512_loadu_ps(a.scales + 32 * group);
    const __m512 s1 = _mm512_loadu_ps(a.scales + 32 * group + 16);
    __m512 z0 = _mm512_setzero_ps();
    __m512 z1 = z0;
    if constexpr (kZeros) {
      z0 = _mm512_cvtepi32_ps(zero_points(a.zeros + 32 * group));
      z1 = _mm512_cvtepi32_ps(zero_points(a.zeros + 32 * group + 16));
    }
    for (int step = 0; step < 8; ++step, codes += 128) {
      const __m512i c0 = _mm512_loadu_si512(codes);
      const __m512i c1 = _mm512_loadu_si512(codes + 64);
#pragma GCC unroll 8
      for (int c = 0; c < 8; ++c, out += 32) {
        __m512 w0 = _mm512_permutexvar_ps(_mm512_srli_epi32(c0, kShift[c]), levels);
        __m512 w1 = _mm512_permutexvar_ps(_mm512_srli_epi32(c1, kShift[c]), levels);
        if constexpr (kZeros) {
          w0 = _mm512_sub_ps(w0, z0);
          w1 = _mm512_sub_ps(w1, z1);
        }
        _mm512_storeu_ps(out, _mm512_mul_ps(w0, s0));
        _mm512_storeu_ps(out + 16, _mm512_mul_ps(w1, s1));
      }
    }
  }
}

void decode(const std::uint8_t* codes, std::int64_t blocks, const float* table,
            const Table4Scales& scales, float* out) {
  (scales.zeros != nullptr ? decode_panel<true> : decode_panel<false>)(codes, blocks, table, scales,
                                                                       out);
}

void widen(const std::uint16_t* in, std::int64_t count, float* out) {
  for (std::int64_t i = 0; i < count; i += 16) {
    _mm512_storeu_ps(out + i,
                     _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(in + i))));
  }
}

constexpr int kSizes[] = {1, 2, 3, 4, 6};
constexpr Table4Tile kTiles[] = {multiply<1>, multiply<2>, multiply<3>, multiply<4>, multiply<6>};

}  // namespace

const Table4PanelKernels kTable4PanelsAvx512{
    kSizes, kTiles, 5, multiply<1, 2>, quantize, expand_scales<expand_pair>, decode, widen};

}  // namespace plimsoll::kernels
