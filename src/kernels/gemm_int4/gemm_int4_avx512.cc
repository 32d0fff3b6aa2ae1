#include <immintrin.h>

#include "kernels/gemm_int4/gemm_int4_isa.h"

namespace plimsoll::kernels {

namespace {

constexpr std::int64_t kLanes = 16;
// Words at once: sums, scales and zeros are fetched once for all of them.
constexpr int kWords = 4;

// The panel's last register may be half full: outputs are a multiple of 8.
__mmask16 lanes_from(const Int4Panel& p, std::int64_t n) {
  return p.outputs - n >= kLanes ? 0xffff : 0x00ff;
}

__m512 code_table() {
  return _mm512_setr_ps(-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7);
}

// code - 8 of column `column` of the word. vpermps reads the low four bits of each lane.
__m512 centred_codes(__m512i words, int column, __m512 table) {
  return _mm512_permutexvar_ps(_mm512_srli_epi32(words, static_cast<unsigned>(4 * column)), table);
}

// sums[r] += scale * (sum of x (code - 8) - (zero - 8) * sum of x), over W words of one group.
template <int R, int W>
void add_word(const Int4Panel& p, const Int4Buffers& b, const Int4Activations& a,
              std::int64_t word) {
  const __m512 table = code_table();
  const std::int32_t* codes = p.codes + word * p.stride;
  const float* x = a.x + 8 * word;
  float x_sums[R] = {};
  for (int r = 0; r < R; ++r) {
    for (int i = 0; i < W; ++i) x_sums[r] += a.word_sums[r * p.words + word + i];
  }
  for (std::int64_t n = 0; n < p.outputs; n += kLanes) {
    const __m512 zeros = _mm512_loadu_ps(b.zeros + n);
    __m512 sum[R];
    for (int r = 0; r < R; ++r) sum[r] = _mm512_mul_ps(zeros, _mm512_set1_ps(-x_sums[r]));
    for (int i = 0; i < W; ++i) {
      const __m512i words = _mm512_maskz_loadu_epi32(lanes_from(p, n), codes + i * p.stride + n);
#pragma GCC unroll 8
      for (int c = 0; c < 8; ++c) {
        const __m512 weights = centred_codes(words, c, table);
        for (int r = 0; r < R; ++r) {
          sum[r] = _mm512_fmadd_ps(weights, _mm512_set1_ps(x[r * 8 * p.words + 8 * i + c]), sum[r]);
        }
      }
    }
    const __m512 scales = _mm512_loadu_ps(b.scales + n);
    for (int r = 0; r < R; ++r) {
      float* total = b.sums + r * b.stride + n;
      _mm512_storeu_ps(total, _mm512_fmadd_ps(scales, sum[r], _mm512_loadu_ps(total)));
    }
  }
}

// The same with a scale and a zero point a column.
template <int R>
void add_mixed_word(const Int4Panel& p, const Int4Buffers& b, const Int4Activations& a,
                    std::int64_t word) {
  const __m512 table = code_table();
  const std::int32_t* codes = p.codes + word * p.stride;
  const std::int32_t* groups = p.group_index + 8 * word;
  const float* x = a.x + 8 * word;
  for (std::int64_t n = 0; n < p.outputs; n += kLanes) {
    const __m512i words = _mm512_maskz_loadu_epi32(lanes_from(p, n), codes + n);
    __m512 sum[R];
    for (int r = 0; r < R; ++r) sum[r] = _mm512_loadu_ps(b.sums + r * b.stride + n);
#pragma GCC unroll 8
    for (int c = 0; c < 8; ++c) {
      const std::int64_t at = groups[c] * b.stride + n;
      const __m512 centred = centred_codes(words, c, table);
      const __m512 weights = _mm512_mul_ps(_mm512_sub_ps(centred, _mm512_loadu_ps(b.zeros + at)),
                                           _mm512_loadu_ps(b.scales + at));
      for (int r = 0; r < R; ++r) {
        sum[r] = _mm512_fmadd_ps(weights, _mm512_set1_ps(x[r * 8 * p.words + c]), sum[r]);
      }
    }
    for (int r = 0; r < R; ++r) _mm512_storeu_ps(b.sums + r * b.stride + n, sum[r]);
  }
}

void prepare(const Int4Panel& p, std::int64_t group, std::int64_t row, const Int4Buffers& b) {
  const __m512i shifts =
      _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28);
  const __m512i word_of_lane = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
  for (std::int64_t n = 0; n < p.outputs; n += kLanes) {
    const __mmask16 lanes = lanes_from(p, n);
    const __m512 scales =
        _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(lanes, p.scales + group * p.stride + n));
    _mm512_storeu_ps(b.scales + row * b.stride + n, scales);

    const __m512i words =
        _mm512_maskz_loadu_epi32(lanes == 0xffff ? 3 : 1, p.zeros + group * (p.stride / 8) + n / 8);
    const __m512i stored = _mm512_srlv_epi32(_mm512_permutexvar_epi32(word_of_lane, words), shifts);
    const __m512i zeros =
        _mm512_and_si512(_mm512_add_epi32(stored, _mm512_set1_epi32(1)), _mm512_set1_epi32(0xf));
    _mm512_storeu_ps(b.zeros + row * b.stride + n,
                     _mm512_cvtepi32_ps(_mm512_sub_epi32(zeros, _mm512_set1_epi32(8))));
  }
}

template <int R>
void add_words(const Int4Panel& p, const Int4Buffers& b, const Int4Activations& a,
               std::int64_t begin, std::int64_t end) {
  if (a.rows == R) {
    std::int64_t word = begin;
    for (; word + kWords <= end; word += kWords) add_word<R, kWords>(p, b, a, word);
    for (; word < end; ++word) add_word<R, 1>(p, b, a, word);
  } else if constexpr (R < kInt4Rows) {
    add_words<R + 1>(p, b, a, begin, end);
  }
}

template <int R>
void add_mixed_words(const Int4Panel& p, const Int4Buffers& b, const Int4Activations& a,
                     std::int64_t begin, std::int64_t end) {
  if (a.rows == R) {
    for (std::int64_t word = begin; word < end; ++word) add_mixed_word<R>(p, b, a, word);
  } else if constexpr (R < kInt4Rows) {
    add_mixed_words<R + 1>(p, b, a, begin, end);
  }
}

}  // namespace

const Int4Kernels kInt4Avx512{prepare, add_words<1>, add_mixed_words<1>};

}  // namespace plimsoll::kernels
