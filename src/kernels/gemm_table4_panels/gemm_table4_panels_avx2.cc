// One row a tile. vpmaddubsw would saturate with levels as unsigned bytes: the magnitudes of the
// levels are multiplied by x with the level's sign, at most 2 * 127 * 127 a pair.
#include <immintrin.h>

#include <cstring>

#include "kernels/gemm_table4_panels/gemm_table4_panels_isa.h"

namespace plimsoll::kernels {

namespace {

__m256i load(const std::uint8_t* bytes) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes));
}

// Sums of four products of levels and x, one a 32-bit lane.
__m256i dot(__m256i levels, __m256i x) {
  const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(levels), _mm256_sign_epi8(x, levels));
  return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

__m256i zero_points(const std::uint8_t* zeros) {
  return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(zeros)));
}

template <bool kZeros>
void multiply_row(const Table4TileArgs& a) {
  const __m256i table =
      _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(a.levels)));
  const __m256i nibble = _mm256_set1_epi8(0xf);
  __m256 total[4];
#pragma GCC unroll 4
  for (auto& part : total) part = _mm256_setzero_ps();
  const std::uint8_t* codes = a.codes;
  const std::uint32_t* x = a.x;
  const float* scales = a.scales.scales;
  const std::uint8_t* zeros = a.scales.zeros;
  std::int64_t left = a.scales.blocks;
  for (std::int64_t b = 0; b < a.blocks; ++b) {
    __m256i sum[4];
#pragma GCC unroll 4
    for (int n = 0; n < 4; ++n) {
      sum[n] = _mm256_setzero_si256();
      if constexpr (kZeros) {
        sum[n] = _mm256_mullo_epi32(_mm256_set1_epi32(-a.x_sums[b]),
                                    zero_points(zeros + 8 * static_cast<std::int64_t>(n)));
      }
    }
    for (int step = 0; step < 8; ++step, codes += 128, x += 2) {
      const __m256i x_low = _mm256_set1_epi32(static_cast<int>(x[0]));
      const __m256i x_high = _mm256_set1_epi32(static_cast<int>(x[1]));
#pragma GCC unroll 4
      for (int n = 0; n < 4; ++n) {
        const __m256i c = load(codes + 32 * static_cast<std::int64_t>(n));
        const __m256i low = _mm256_shuffle_epi8(table, _mm256_and_si256(c, nibble));
        const __m256i high =
            _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(c, 4), nibble));
        sum[n] = _mm256_add_epi32(sum[n], _mm256_add_epi32(dot(low, x_low), dot(high, x_high)));
      }
    }
    const __m256 xs = _mm256_set1_ps(a.x_scales[b]);
#pragma GCC unroll 4
    for (int n = 0; n < 4; ++n) {
      total[n] =
          _mm256_fmadd_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(sum[n]), xs),
                          _mm256_loadu_ps(scales + 8 * static_cast<std::int64_t>(n)), total[n]);
    }
    if (--left == 0) {
      left = a.scales.blocks;
      scales += 32;
      if constexpr (kZeros) zeros += 32;
    }
  }
  alignas(32) float row[32];
#pragma GCC unroll 4
  for (int n = 0; n < 4; ++n) _mm256_store_ps(row + 8 * static_cast<std::int64_t>(n), total[n]);
  for (std::int64_t n = 0; n < a.outputs; ++n) a.y[n] = row[n];
}

void multiply(const Table4TileArgs* panel) {
  const Table4TileArgs& a = *panel;
  (a.scales.zeros != nullptr ? multiply_row<true> : multiply_row<false>)(a);
}

void quantize(const float* x, std::int64_t blocks, std::int8_t* codes, float* scales,
              std::int32_t* sums) {
  for (std::int64_t b = 0; b < blocks; ++b, x += 64) {
    __m256 largest = _mm256_setzero_ps();
    for (int i = 0; i < 64; i += 8) {
      largest =
          _mm256_max_ps(largest, _mm256_andnot_ps(_mm256_set1_ps(-0.0f), _mm256_loadu_ps(x + i)));
    }
    alignas(32) float lanes[8];
    _mm256_store_ps(lanes, largest);
    float absmax = 0;
    for (const float lane : lanes) absmax = lane > absmax ? lane : absmax;
    const bool zero = absmax < 0x1p-120f;
    const __m256 factor = _mm256_set1_ps(zero ? 0.0f : 127.0f / absmax);
    std::int32_t sum = 0;
    for (int i = 0; i < 64; i += 8) {
      alignas(32) std::int32_t code[8];
      _mm256_store_si256(reinterpret_cast<__m256i*>(code),
                         _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + i), factor)));
      for (const std::int32_t value : code) {
        *codes++ = static_cast<std::int8_t>(value);
        sum += value;
      }
    }
    scales[b] = zero ? 0.0f : absmax / 127.0f;
    sums[b] = sum;
  }
}

void expand_scales(const Table4Nested& nested, std::int64_t pairs, float* out) {
  const __m256 offset = _mm256_set1_ps(nested.offset);
  const Table4Run* run = nested.runs;
  const std::uint8_t* codes = nested.codes;
  for (std::int64_t pair = 0; pair < pairs; ++pair, codes += kPairLanes, out += kPairLanes) {
    if (pair == run->end) ++run;
    // Places 16 i + 4 l and the three behind it are in bytes 16 l + 4 i.
    for (int i = 0; i < 4; ++i) {
      for (int l = 0; l < 4; l += 2) {
        std::int32_t first = 0, second = 0;
        std::memcpy(&first, codes + 16 * l + 4 * i, 4);
        std::memcpy(&second, codes + 16 * (l + 1) + 4 * i, 4);
        const __m256i index = _mm256_cvtepu8_epi32(_mm_set_epi32(0, 0, second, first));
        const std::ptrdiff_t at = 16 * i + 4 * l;
        const __m256 scaled = _mm256_mul_ps(_mm256_i32gather_ps(nested.map, index, 4),
                                            _mm256_loadu_ps(run->outer + at));
        _mm256_storeu_ps(out + at, _mm256_add_ps(scaled, offset));
      }
    }
  }
}

void decode(const std::uint8_t* codes, std::int64_t blocks, const float* table,
            const Table4Scales& a, float* out) {
  const __m256 low = _mm256_loadu_ps(table);
  const __m256 high = _mm256_loadu_ps(table + 8);
  // Column c of a word is in nibble 2 (c mod 4) + c / 4.
  constexpr int kShift[] = {0, 8, 16, 24, 4, 12, 20, 28};
  for (std::int64_t b = 0; b < blocks; ++b) {
    const float* scales = a.scales + b / a.blocks * 32;
    const std::uint8_t* zeros = a.zeros == nullptr ? nullptr : a.zeros + b / a.blocks * 32;
    for (int step = 0; step < 8; ++step, codes += 128) {
      for (int c = 0; c < 8; ++c, out += 32) {
        for (int n = 0; n < 32; n += 8) {
          const __m256i words = load(codes + 4 * static_cast<std::int64_t>(n));
          const __m256i index = _mm256_srl_epi32(words, _mm_cvtsi32_si128(kShift[c]));
          // vpermps reads three bits of each lane; the fourth, as the sign, chooses the half.
          const __m256 fourth = _mm256_castsi256_ps(_mm256_slli_epi32(index, 28));
          __m256 w = _mm256_blendv_ps(_mm256_permutevar8x32_ps(low, index),
                                      _mm256_permutevar8x32_ps(high, index), fourth);
          if (zeros != nullptr) {
            w = _mm256_sub_ps(w, _mm256_cvtepi32_ps(zero_points(zeros + n)));
          }
          _mm256_storeu_ps(out + n, _mm256_mul_ps(w, _mm256_loadu_ps(scales + n)));
        }
      }
    }
  }
}

void widen(const std::uint16_t* in, std::int64_t count, float* out) {
  for (std::int64_t i = 0; i < count; i += 8) {
    _mm256_storeu_ps(out + i,
                     _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(in + i))));
  }
}

constexpr int kSizes[] = {1};
constexpr Table4Tile kTiles[] = {multiply};

}  // namespace

const Table4PanelKernels kTable4PanelsAvx2{kSizes,        kTiles, 1,      nullptr, quantize,
                                           expand_scales, false,  decode, widen};

}  // namespace plimsoll::kernels
