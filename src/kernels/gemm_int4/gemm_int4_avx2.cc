#include <immintrin.h>

#include "kernels/gemm_int4/gemm_int4_isa.h"

namespace plimsoll::kernels {

namespace {

constexpr std::int64_t kLanes = 8;
// Words at once: sums, scales and zeros are fetched once for all of them.
constexpr int kWords = 4;

// Words with the fourth bit of every code flipped, which makes it code - 8 in two's complement.
__m256i load_centred(const std::int32_t* codes) {
  const __m256i words = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes));
  return _mm256_xor_si256(words, _mm256_set1_epi32(static_cast<int>(0x88888888u)));
}

// code - 8 of one column of the word.
template <int kColumn>
__m256 centred_codes(__m256i centred) {
  return _mm256_cvtepi32_ps(_mm256_srai_epi32(_mm256_slli_epi32(centred, 28 - 4 * kColumn), 28));
}

template <int R, int kColumn = 0>
void add_columns(__m256i centred, const float* x, std::int64_t columns, __m256* sum) {
  const __m256 weights = centred_codes<kColumn>(centred);
  for (int r = 0; r < R; ++r) {
    sum[r] = _mm256_fmadd_ps(weights, _mm256_broadcast_ss(x + r * columns + kColumn), sum[r]);
  }
  if constexpr (kColumn < 7) add_columns<R, kColumn + 1>(centred, x, columns, sum);
}

template <int R, int kColumn = 0>
void add_mixed_columns(__m256i centred, const Int4Buffers& b, const std::int32_t* groups,
                       std::int64_t n, const float* x, std::int64_t columns, __m256* sum) {
  const std::int64_t at = groups[kColumn] * b.stride + n;
  const __m256 weights =
      _mm256_mul_ps(_mm256_sub_ps(centred_codes<kColumn>(centred), _mm256_loadu_ps(b.zeros + at)),
                    _mm256_loadu_ps(b.scales + at));
  for (int r = 0; r < R; ++r) {
    sum[r] = _mm256_fmadd_ps(weights, _mm256_broadcast_ss(x + r * columns + kColumn), sum[r]);
  }
  if constexpr (kColumn < 7) {
    add_mixed_columns<R, kColumn + 1>(centred, b, groups, n, x, columns, sum);
  }
}

// sums[r] += scale * (sum of x (code - 8) - (zero - 8) * sum of x), over W words of one group.
template <int R, int W>
void add_word(const Int4Panel& p, const Int4Buffers& b, const Int4Activations& a,
              std::int64_t word) {
  const std::int32_t* codes = p.codes + word * p.stride;
  float x_sums[R] = {};
  for (int r = 0; r < R; ++r) {
    for (int i = 0; i < W; ++i) x_sums[r] += a.word_sums[r * p.words + word + i];
  }
  for (std::int64_t n = 0; n < p.outputs; n += kLanes) {
    const __m256 zeros = _mm256_loadu_ps(b.zeros + n);
    __m256 sum[R];
    for (int r = 0; r < R; ++r) sum[r] = _mm256_mul_ps(zeros, _mm256_set1_ps(-x_sums[r]));
    for (int i = 0; i < W; ++i) {
      add_columns<R>(load_centred(codes + i * p.stride + n), a.x + 8 * (word + i), 8 * p.words,
                     sum);
    }
    const __m256 scales = _mm256_loadu_ps(b.scales + n);
    for (int r = 0; r < R; ++r) {
      float* total = b.sums + r * b.stride + n;
      _mm256_storeu_ps(total, _mm256_fmadd_ps(scales, sum[r], _mm256_loadu_ps(total)));
    }
  }
}

// The same with a scale and a zero point a column.
template <int R>
void add_mixed_word(const Int4Panel& p, const Int4Buffers& b, const Int4Activations& a,
                    std::int64_t word) {
  for (std::int64_t n = 0; n < p.outputs; n += kLanes) {
    __m256 sum[R];
    for (int r = 0; r < R; ++r) sum[r] = _mm256_loadu_ps(b.sums + r * b.stride + n);
    add_mixed_columns<R>(load_centred(p.codes + word * p.stride + n), b, p.group_index + 8 * word,
                         n, a.x + 8 * word, 8 * p.words, sum);
    for (int r = 0; r < R; ++r) _mm256_storeu_ps(b.sums + r * b.stride + n, sum[r]);
  }
}

void prepare(const Int4Panel& p, std::int64_t group, std::int64_t row, const Int4Buffers& b) {
  const __m256i shifts = _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28);
  for (std::int64_t n = 0; n < p.outputs; n += kLanes) {
    const __m256 scales = _mm256_cvtph_ps(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(p.scales + group * p.stride + n)));
    _mm256_storeu_ps(b.scales + row * b.stride + n, scales);

    const __m256i word = _mm256_set1_epi32(p.zeros[group * (p.stride / 8) + n / 8]);
    const __m256i zeros =
        _mm256_and_si256(_mm256_add_epi32(_mm256_srlv_epi32(word, shifts), _mm256_set1_epi32(1)),
                         _mm256_set1_epi32(0xf));
    _mm256_storeu_ps(b.zeros + row * b.stride + n,
                     _mm256_cvtepi32_ps(_mm256_sub_epi32(zeros, _mm256_set1_epi32(8))));
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

const Int4Kernels kInt4Avx2{prepare, add_words<1>, add_mixed_words<1>};

}  // namespace plimsoll::kernels
