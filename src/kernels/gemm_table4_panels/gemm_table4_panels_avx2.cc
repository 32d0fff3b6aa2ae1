// One row a tile.
#include <immintrin.h>

#include <cstring>

#include "kernels/gemm_table4_panels/gemm_table4_panels_impl.h"

namespace plimsoll::kernels {

namespace {

__m256i load(const std::uint8_t* bytes) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes));
}

__m256i zero_points(const std::uint8_t* zeros) {
  return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(zeros)));
}

// The scales of one pair of blocks into out[2][32]. Scalar loads: they take none of the vector
// units, which a gather does.
[[gnu::always_inline]] inline void expand_pair(const Table4Nested& nested,
                                               const std::uint8_t* codes, const float* outer,
                                               float* out) {
  // Places 16 i + 4 l and the three behind it are in bytes 16 l + 4 i.
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
#pragma GCC unroll 4
    for (int l = 0; l < 4; ++l) {
      std::uint32_t four = 0;
      std::memcpy(&four, codes + 16 * l + 4 * i, 4);
      float* const place = out + 16 * i + 4 * l;
      place[0] = nested.map[four & 0xff];
      place[1] = nested.map[four >> 8 & 0xff];
      place[2] = nested.map[four >> 16 & 0xff];
      place[3] = nested.map[four >> 24];
    }
  }
  const __m256 offset = _mm256_set1_ps(nested.offset);
#pragma GCC unroll 8
  for (int i = 0; i < kPairLanes; i += 8) {
    const __m256 scaled = _mm256_mul_ps(_mm256_loadu_ps(out + i), _mm256_loadu_ps(outer + i));
    _mm256_storeu_ps(out + i, _mm256_add_ps(scaled, offset));
  }
}

// Levels, and the words of x that they are multiplied by, as vpmaddubsw takes them: its first
// operand is unsigned, and the sum of two products must not exceed 16 bits. Levels of 0 to 15 come
// first. Signed ones take the sign of x, and its magnitude comes first: at most 2 * 127 * 127.
template <bool kSigned>
struct Words {
  __m256i x, magnitude;

  explicit Words(std::uint32_t word)
      : x(_mm256_set1_epi32(static_cast<int>(word))), magnitude(_mm256_abs_epi8(x)) {}
  __m256i times(__m256i levels) const {
    if constexpr (!kSigned) return _mm256_maddubs_epi16(levels, x);
    return _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(levels, x));
  }
};

// How far ahead codes are fetched: the hardware's prefetchers stay too close to a loop that takes
// longer for its arithmetic than for its bytes.
constexpr std::int64_t kAheadBytes = 4096;

template <Scaling kScaling>
void multiply_row(const Table4TileArgs& a) {
  using X = Words<kScaling != Scaling::zeros>;
  const __m256i table =
      _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(a.levels)));
  const __m256i nibble = _mm256_set1_epi8(0xf);
  const __m256i ones = _mm256_set1_epi16(1);
  PanelWalk<kScaling, expand_pair> panel;
  panel.begin(a);
  __m256 total[4];
#pragma GCC unroll 4
  for (auto& part : total) part = _mm256_setzero_ps();
  const std::uint32_t* x = a.x;
  for (std::int64_t b = 0; b < a.blocks; ++b) {
    panel.begin_block(b);
    __m256i sum[4];
#pragma GCC unroll 4
    for (int n = 0; n < 4; ++n) {
      sum[n] = _mm256_setzero_si256();
      if constexpr (kScaling == Scaling::zeros) {
        sum[n] = _mm256_mullo_epi32(_mm256_set1_epi32(-a.x_sums[b]),
                                    zero_points(panel.zeros + 8 * static_cast<std::int64_t>(n)));
      }
    }
    const std::uint8_t* codes = panel.codes;
    for (int step = 0; step < 8; ++step, codes += 128, x += 2) {
      const X x_low(x[0]), x_high(x[1]);
      _mm_prefetch(reinterpret_cast<const char*>(codes + kAheadBytes), _MM_HINT_T0);
      _mm_prefetch(reinterpret_cast<const char*>(codes + kAheadBytes + 64), _MM_HINT_T0);
#pragma GCC unroll 4
      for (int n = 0; n < 4; ++n) {
        const __m256i c = load(codes + 32 * static_cast<std::int64_t>(n));
        const __m256i low = x_low.times(_mm256_shuffle_epi8(table, _mm256_and_si256(c, nibble)));
        const __m256i high = x_high.times(
            _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(c, 4), nibble)));
        __m256i products;
        if constexpr (kScaling == Scaling::zeros) {
          products = _mm256_madd_epi16(_mm256_add_epi16(low, high), ones);
        } else {
          products = _mm256_add_epi32(_mm256_madd_epi16(low, ones), _mm256_madd_epi16(high, ones));
        }
        sum[n] = _mm256_add_epi32(sum[n], products);
      }
    }
    panel.codes = codes;
    const __m256 xs = _mm256_set1_ps(a.x_scales[b]);
#pragma GCC unroll 4
    for (int n = 0; n < 4; ++n) {
      total[n] = _mm256_fmadd_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(sum[n]), xs),
                                 _mm256_loadu_ps(panel.scales + 8 * static_cast<std::int64_t>(n)),
                                 total[n]);
    }
    panel.end_block();
  }
  alignas(32) float row[32];
#pragma GCC unroll 4
  for (int n = 0; n < 4; ++n) _mm256_store_ps(row + 8 * static_cast<std::int64_t>(n), total[n]);
  for (std::int64_t n = 0; n < a.outputs; ++n) a.y[n] = row[n];
}

void multiply(const Table4TileArgs* panel) {
  const Table4Scales& scales = panel->scales;
  if (scales.nested != nullptr) return multiply_row<Scaling::nested>(*panel);
  if (scales.zeros != nullptr) return multiply_row<Scaling::zeros>(*panel);
  multiply_row<Scaling::plain>(*panel);
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

const Table4PanelKernels kTable4PanelsAvx2{
    kSizes, kTiles, 1, nullptr, quantize, expand_scales<expand_pair>, decode, widen};

}  // namespace plimsoll::kernels
