#include <immintrin.h>

#include "kernels/gemm_int8/gemm_int8_isa.h"

namespace plimsoll::kernels {

namespace {

constexpr std::int64_t kGroup = 64;
// 4 x 4 accumulators: 16 products a step against 8 loads, and sums of four rows are reduced
// together. (gcc 12 keeps 4 x 6 in memory, at half the speed.) With two rows (one of x, one of
// ones) the weights come from memory, which a single stream reads fastest.
constexpr int kRows = 4;
constexpr int kOutputs = 4;
constexpr int kStreams = 1;

// [a b c d] summed over lanes.
__m128i sum_lanes(__m512i a, __m512i b, __m512i c, __m512i d) {
  const __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
  const __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
  const __m512i abcd =
      _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
  const __m256i half =
      _mm256_add_epi32(_mm512_castsi512_si256(abcd), _mm512_extracti64x4_epi64(abcd, 1));
  return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

template <int R, int N>
void multiply(const Int8ProductArgs& a, std::int64_t row, std::int64_t output) {
  __m512i sum[kRows][N];
  for (int r = 0; r < kRows; ++r) {
    for (int n = 0; n < N; ++n) sum[r][n] = _mm512_setzero_si512();
  }
  const auto* x = static_cast<const std::uint8_t*>(a.x) + row * a.x_stride;
  const std::int8_t* w = a.w + output * a.columns;
  // One loop for whole and part groups: with a second one gcc 12 keeps the sums in memory.
  for (std::int64_t k = 0; k < a.columns; k += kGroup) {
    const std::int64_t left = a.columns - k;
    const __mmask64 mask = left >= kGroup ? ~0ull : (1ull << left) - 1;
    __m512i xs[R];
    for (int r = 0; r < R; ++r) xs[r] = _mm512_loadu_si512(x + r * a.x_stride + k);
    for (int n = 0; n < N; ++n) {
      const __m512i weights = _mm512_maskz_loadu_epi8(mask, w + n * a.columns + k);
      for (int r = 0; r < R; ++r) sum[r][n] = _mm512_dpbusd_epi32(sum[r][n], xs[r], weights);
    }
  }
#pragma GCC unroll 8
  for (int n = 0; n < N; ++n) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(a.sums + (output + n) * a.sums_stride + row),
                     sum_lanes(sum[0][n], sum[1][n], sum[2][n], sum[3][n]));
  }
}

template <int R, int N>
void multiply_rows(const Int8ProductArgs& a, std::int64_t row) {
  std::int64_t output = 0;
  for (; output + N <= a.outputs; output += N) multiply<R, N>(a, row, output);
  for (; output < a.outputs; ++output) multiply<R, 1>(a, row, output);
}

}  // namespace

void int8_product_avx512(const Int8ProductArgs& args) {
  std::int64_t row = 0;
  for (; row + kRows <= args.rows; row += kRows) multiply_rows<kRows, kOutputs>(args, row);
  switch (args.rows - row) {
    case 3:
      return multiply_rows<3, kOutputs>(args, row);
    case 2:
      return multiply_rows<2, kStreams>(args, row);
    case 1:
      return multiply_rows<1, kOutputs>(args, row);
    default:
      return;
  }
}

}  // namespace plimsoll::kernels
