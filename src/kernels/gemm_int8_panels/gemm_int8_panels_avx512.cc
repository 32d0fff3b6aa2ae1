// 12 rows and two registers of outputs a tile, as gemm_dense_panels_avx512.cc; vpdpbusd multiplies
// four columns at once.
#include <immintrin.h>

#include "kernels/gemm_int8_panels/gemm_int8_panels_isa.h"

namespace plimsoll::kernels {

namespace {

void store(const Int8TileArgs& a, int r, int first, __m512i sum) {
  const auto all = static_cast<std::uint32_t>((std::uint64_t{1} << a.outputs) - 1);
  const auto lanes = static_cast<__mmask16>(all >> first);
  sum = _mm512_sub_epi32(sum, _mm512_set1_epi32(a.offsets[r]));
  if (a.zeros != nullptr) {
    sum = _mm512_sub_epi32(sum, _mm512_maskz_loadu_epi32(lanes, a.zeros + first));
  }
  __m512 y = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_set1_ps(a.x_scales[r]));
  y = _mm512_mul_ps(y, _mm512_maskz_loadu_ps(lanes, a.scales + first));
  y = _mm512_mul_ps(y, _mm512_set1_ps(a.factor));
  _mm512_mask_storeu_ps(a.y + r * a.y_stride + first, lanes, y);
}

template <int R>
void multiply(const Int8TileArgs& a) {
  __m512i sum[R][2];
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) sum[r][0] = sum[r][1] = _mm512_setzero_si512();
  const std::uint8_t* w = a.w;
  const auto* x = static_cast<const std::int32_t*>(a.x);
  for (std::int64_t step = 0; step < a.steps; ++step, w += 128, x += R) {
    const __m512i w0 = _mm512_loadu_si512(w);
    const __m512i w1 = _mm512_loadu_si512(w + 64);
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
      const __m512i xs = _mm512_set1_epi32(x[r]);
      sum[r][0] = _mm512_dpbusd_epi32(sum[r][0], w0, xs);
      sum[r][1] = _mm512_dpbusd_epi32(sum[r][1], w1, xs);
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
    if (r >= a.rows) break;
    store(a, r, 0, sum[r][0]);
    store(a, r, 16, sum[r][1]);
  }
}

__mmask16 lanes_left(std::int64_t left) {
  return static_cast<__mmask16>(left >= 16 ? 0xffffu : (1u << left) - 1u);
}

float largest_below(const float* x, std::int64_t count, float limit) {
  __m512 largest = _mm512_setzero_ps();
  for (std::int64_t i = 0; i < count; i += 16) {
    const __m512 v = _mm512_abs_ps(_mm512_maskz_loadu_ps(lanes_left(count - i), x + i));
    const __mmask16 kept = _mm512_cmp_ps_mask(v, _mm512_set1_ps(limit), _CMP_LT_OQ);
    largest = _mm512_mask_max_ps(largest, kept, largest, v);
  }
  return _mm512_reduce_max_ps(largest);
}

std::int32_t quantize(const float* x, std::int64_t count, float limit, float scale,
                      std::int8_t* codes) {
  __m512i sum = _mm512_setzero_si512();
  for (std::int64_t i = 0; i < count; i += 16) {
    const __mmask16 lanes = lanes_left(count - i);
    const __m512 v = _mm512_maskz_loadu_ps(lanes, x + i);
    const __mmask16 kept = _mm512_cmp_ps_mask(_mm512_abs_ps(v), _mm512_set1_ps(limit), _CMP_LT_OQ);
    const __m512i code = _mm512_cvtps_epi32(_mm512_maskz_mul_ps(kept, v, _mm512_set1_ps(scale)));
    sum = _mm512_add_epi32(sum, code);
    _mm_mask_storeu_epi8(codes + i, lanes, _mm512_cvtepi32_epi8(code));
  }
  return _mm512_reduce_add_epi32(sum);
}

constexpr int kSizes[] = {1, 2, 3, 4, 6, 8, 12};
constexpr Int8Tile kTiles[] = {multiply<1>, multiply<2>, multiply<3>, multiply<4>,
                               multiply<6>, multiply<8>, multiply<12>};

}  // namespace

const Int8PanelKernels kInt8PanelsAvx512{kSizes, kTiles, 7, 1, largest_below, quantize};

}  // namespace plimsoll::kernels
