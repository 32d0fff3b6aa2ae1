// One weight row at a time, so that memory is read as one stream a thread; up to four rows of x
// share each loaded and widened weight. The weight row stays in L1 for further groups of x rows.
// Each output's order of additions is fixed, whatever the number of rows: results do not depend on
// the batch.
#include <immintrin.h>

#include <cstdint>

#include "kernels/gemm_dense/gemm_dense_isa.h"

namespace plimsoll::kernels {

namespace {

struct F32 {
  using Element = float;
  static __m512 load(const float* p) { return _mm512_loadu_ps(p); }
  static __m512 load_part(const float* p, __mmask16 mask) { return _mm512_maskz_loadu_ps(mask, p); }
};
struct F16 {
  using Element = std::uint16_t;
  static __m512 load(const std::uint16_t* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static __m512 load_part(const std::uint16_t* p, __mmask16 mask) {
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, p));
  }
};
struct Bf16 {
  using Element = std::uint16_t;
  static __m512 widen(__m256i bits) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
  }
  static __m512 load(const std::uint16_t* p) {
    return widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static __m512 load_part(const std::uint16_t* p, __mmask16 mask) {
    return widen(_mm256_maskz_loadu_epi16(mask, p));
  }
};

// kRows dot products of one weight row, four partial sums each.
template <class W, int kRows>
void dot_rows(const float* x, const typename W::Element* w, std::int64_t columns, float* y,
              std::int64_t y_stride) {
  __m512 sums[kRows][4];
  for (int row = 0; row < kRows; ++row) {
    for (int part = 0; part < 4; ++part) sums[row][part] = _mm512_setzero_ps();
  }
  std::int64_t k = 0;
  for (; k + 64 <= columns; k += 64) {
    for (int part = 0; part < 4; ++part) {
      const __m512 weight = W::load(w + k + part * 16);
      for (int row = 0; row < kRows; ++row) {
        sums[row][part] = _mm512_fmadd_ps(_mm512_loadu_ps(x + row * columns + k + part * 16),
                                          weight, sums[row][part]);
      }
    }
  }
  for (; k < columns; k += 16) {
    const std::int64_t rest = columns - k;
    const __mmask16 mask =
        rest >= 16 ? static_cast<__mmask16>(0xffff) : static_cast<__mmask16>((1u << rest) - 1u);
    const __m512 weight = W::load_part(w + k, mask);
    for (int row = 0; row < kRows; ++row) {
      sums[row][0] =
          _mm512_fmadd_ps(_mm512_maskz_loadu_ps(mask, x + row * columns + k), weight, sums[row][0]);
    }
  }
  for (int row = 0; row < kRows; ++row) {
    y[row * y_stride] = _mm512_reduce_add_ps(_mm512_add_ps(
        _mm512_add_ps(sums[row][0], sums[row][1]), _mm512_add_ps(sums[row][2], sums[row][3])));
  }
}

template <class W>
void rows_kernel(const float* x, std::int64_t rows, const void* weights, std::int64_t columns,
                 std::int64_t begin, std::int64_t end, float* y, std::int64_t y_stride) {
  const auto* w = static_cast<const typename W::Element*>(weights) + begin * columns;
  for (std::int64_t out = begin; out < end; ++out, w += columns) {
    std::int64_t row = 0;
    for (; row + 4 <= rows; row += 4) {
      dot_rows<W, 4>(x + row * columns, w, columns, y + row * y_stride + out, y_stride);
    }
    for (; row < rows; ++row) {
      dot_rows<W, 1>(x + row * columns, w, columns, y + row * y_stride + out, y_stride);
    }
  }
}

}  // namespace

const DenseRowsKernels kDenseRowsAvx512{rows_kernel<F32>, rows_kernel<F16>, rows_kernel<Bf16>};

}  // namespace plimsoll::kernels
