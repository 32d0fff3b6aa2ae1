// As gemm_dense_avx512.cc, with eight lanes; the last few columns are added by a scalar loop.
#include <immintrin.h>

#include <cstdint>

#include "kernels/gemm_dense/gemm_dense_isa.h"

namespace plimsoll::kernels {

namespace {

struct F32 {
  using Element = float;
  static __m256 load(const float* p) { return _mm256_loadu_ps(p); }
  static float one(float value) { return value; }
};
struct F16 {
  using Element = std::uint16_t;
  static __m256 load(const std::uint16_t* p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static float one(std::uint16_t bits) { return _cvtsh_ss(bits); }
};
struct Bf16 {
  using Element = std::uint16_t;
  static __m256 load(const std::uint16_t* p) {
    const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
  }
  static float one(std::uint16_t bits) {
    return _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(static_cast<int>(bits) << 16)));
  }
};

float sum_lanes(__m256 v) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

template <class W, int kRows>
void dot_rows(const float* x, const typename W::Element* w, std::int64_t columns, float* y,
              std::int64_t y_stride) {
  __m256 sums[kRows][4];
  for (int row = 0; row < kRows; ++row) {
    for (int part = 0; part < 4; ++part) sums[row][part] = _mm256_setzero_ps();
  }
  std::int64_t k = 0;
  for (; k + 32 <= columns; k += 32) {
    for (int part = 0; part < 4; ++part) {
      const __m256 weight = W::load(w + k + part * 8);
      for (int row = 0; row < kRows; ++row) {
        sums[row][part] = _mm256_fmadd_ps(_mm256_loadu_ps(x + row * columns + k + part * 8), weight,
                                          sums[row][part]);
      }
    }
  }
  for (int row = 0; row < kRows; ++row) {
    float sum = sum_lanes(_mm256_add_ps(_mm256_add_ps(sums[row][0], sums[row][1]),
                                        _mm256_add_ps(sums[row][2], sums[row][3])));
    for (std::int64_t rest = k; rest < columns; ++rest)
      sum += x[row * columns + rest] * W::one(w[rest]);
    y[row * y_stride] = sum;
  }
}

template <class W>
void rows_kernel(const float* x, std::int64_t rows, const void* weights, std::int64_t columns,
                 std::int64_t begin, std::int64_t end, float* y, std::int64_t y_stride) {
  const auto* w = static_cast<const typename W::Element*>(weights) + begin * columns;
  for (std::int64_t out = begin; out < end; ++out, w += columns) {
    std::int64_t row = 0;
    for (; row + 2 <= rows; row += 2) {
      dot_rows<W, 2>(x + row * columns, w, columns, y + row * y_stride + out, y_stride);
    }
    if (row < rows)
      dot_rows<W, 1>(x + row * columns, w, columns, y + row * y_stride + out, y_stride);
  }
}

}  // namespace

const DenseRowsKernels kDenseRowsAvx2{rows_kernel<F32>, rows_kernel<F16>, rows_kernel<Bf16>};

}  // namespace plimsoll::kernels
