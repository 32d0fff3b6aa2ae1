#include <immintrin.h>

#include "kernels/gemm_int8/gemm_int8_isa.h"

namespace plimsoll::kernels {

namespace {

constexpr std::int64_t kGroup = 16;
constexpr int kRows = 2;
constexpr int kOutputs = 4;

__m256i load_weights(const std::int8_t* w) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(w)));
}

__m256i load_weights(const std::int8_t* w, std::int64_t count) {
  alignas(16) std::int8_t padded[kGroup] = {};
  for (std::int64_t i = 0; i < count; ++i) padded[i] = w[i];
  return load_weights(padded);
}

__m256i load_x(const std::int16_t* x) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x));
}

std::int32_t sum_lanes(__m256i v) {
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  s = _mm_add_epi32(s, _mm_unpackhi_epi64(s, s));
  return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 1)));
}

template <int R, int N>
void multiply(const Int8ProductArgs& a, std::int64_t row, std::int64_t output) {
  __m256i sum[R][N];
  for (int r = 0; r < R; ++r) {
    for (int n = 0; n < N; ++n) sum[r][n] = _mm256_setzero_si256();
  }
  const auto* x = static_cast<const std::int16_t*>(a.x) + row * a.x_stride;
  const std::int8_t* w = a.w + output * a.columns;
  const std::int64_t whole = a.columns / kGroup * kGroup;
  for (std::int64_t k = 0; k < whole; k += kGroup) {
    __m256i xs[R];
    for (int r = 0; r < R; ++r) xs[r] = load_x(x + r * a.x_stride + k);
    for (int n = 0; n < N; ++n) {
      const __m256i weights = load_weights(w + n * a.columns + k);
      for (int r = 0; r < R; ++r) {
        sum[r][n] = _mm256_add_epi32(sum[r][n], _mm256_madd_epi16(xs[r], weights));
      }
    }
  }
  for (int n = 0; n < N && whole < a.columns; ++n) {
    const __m256i weights = load_weights(w + n * a.columns + whole, a.columns - whole);
    for (int r = 0; r < R; ++r) {
      const __m256i xs = load_x(x + r * a.x_stride + whole);
      sum[r][n] = _mm256_add_epi32(sum[r][n], _mm256_madd_epi16(xs, weights));
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int n = 0; n < N; ++n) {
      a.sums[(output + n) * a.sums_stride + row + r] = sum_lanes(sum[r][n]);
    }
  }
}

template <int R>
void multiply_rows(const Int8ProductArgs& a, std::int64_t row) {
  std::int64_t output = 0;
  for (; output + kOutputs <= a.outputs; output += kOutputs) multiply<R, kOutputs>(a, row, output);
  for (; output < a.outputs; ++output) multiply<R, 1>(a, row, output);
}

}  // namespace

void int8_product_avx2(const Int8ProductArgs& args) {
  std::int64_t row = 0;
  for (; row + kRows <= args.rows; row += kRows) multiply_rows<kRows>(args, row);
  if (row < args.rows) multiply_rows<1>(args, row);
}

}  // namespace plimsoll::kernels
