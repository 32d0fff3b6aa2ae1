// As gemm_dense_panels_avx512.cc; vdpbf16ps multiplies two columns at once.
#include <immintrin.h>

#include "kernels/gemm_dense_panels/gemm_dense_panels_isa.h"

namespace plimsoll::kernels {

namespace {

// Both registers of a step's weights, and where its sums go.
struct Bf16 {
  static constexpr int kStepBytes = 128;
  void weights(const std::uint8_t* step, __m512bh& w0, __m512bh& w1) const {
    w0 = reinterpret_cast<__m512bh>(_mm512_loadu_si512(step));
    w1 = reinterpret_cast<__m512bh>(_mm512_loadu_si512(step + 64));
  }
  static void in_order(__m512&, __m512&) {}
};

// The two bytes of the bfloat16 of every E4M3 magnitude, subnormals included. (NaN is in the
// scale, see panels.h.)
struct F8Table {
  alignas(64) std::uint8_t low[128] = {};
  alignas(64) std::uint8_t high[128] = {};

  constexpr F8Table() {
    for (int code = 1; code < 128; ++code) {
      int exponent = code >> 3;
      int mantissa = code & 7;
      if (exponent == 0) {  // shifted up to its leading one
        exponent = 1;
        for (; mantissa < 8; mantissa *= 2) --exponent;
        mantissa -= 8;
      }
      const int value = (exponent + 127 - 7) << 7 | mantissa << 4;
      low[code] = static_cast<std::uint8_t>(value & 0xff);
      high[code] = static_cast<std::uint8_t>(value >> 8);
    }
  }
};
constexpr F8Table kF8Table;

class F8 {
 public:
  static constexpr int kStepBytes = 64;
  void weights(const std::uint8_t* step, __m512bh& w0, __m512bh& w1) const {
    const __m512i codes = _mm512_loadu_si512(step);
    // vpermi2b reads seven bits of each index: the magnitude.
    const __m512i low = _mm512_permutex2var_epi8(low0_, codes, low1_);
    const __m512i magnitude = _mm512_permutex2var_epi8(high0_, codes, high1_);
    // magnitude | (codes & 0x80)
    const __m512i high = _mm512_ternarylogic_epi32(magnitude, codes, _mm512_set1_epi8(-128), 0xf8);
    w0 = reinterpret_cast<__m512bh>(_mm512_unpacklo_epi8(low, high));
    w1 = reinterpret_cast<__m512bh>(_mm512_unpackhi_epi8(low, high));
  }
  // Unpacking takes four outputs of every eight: 0..3, 8..11, ... to w0, the others to w1.
  static void in_order(__m512& sum0, __m512& sum1) {
    const __m512i first = _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
    const __m512 lower = _mm512_permutex2var_ps(sum0, first, sum1);
    sum1 = _mm512_permutex2var_ps(sum0, _mm512_add_epi32(first, _mm512_set1_epi32(8)), sum1);
    sum0 = lower;
  }

 private:
  const __m512i low0_ = _mm512_load_si512(kF8Table.low);
  const __m512i low1_ = _mm512_load_si512(kF8Table.low + 64);
  const __m512i high0_ = _mm512_load_si512(kF8Table.high);
  const __m512i high1_ = _mm512_load_si512(kF8Table.high + 64);
};

template <class W, int R>
void multiply(const DenseTileArgs& a) {
  const W source;
  __m512 sum[R][2];
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) sum[r][0] = sum[r][1] = _mm512_setzero_ps();
  const auto* w = static_cast<const std::uint8_t*>(a.w);
  const auto* x = static_cast<const std::int32_t*>(a.x);
  for (std::int64_t step = 0; step < a.steps; ++step, w += W::kStepBytes, x += R) {
    __m512bh w0, w1;
    source.weights(w, w0, w1);
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
      const auto xs = reinterpret_cast<__m512bh>(_mm512_set1_epi32(x[r]));
      sum[r][0] = _mm512_dpbf16_ps(sum[r][0], w0, xs);
      sum[r][1] = _mm512_dpbf16_ps(sum[r][1], w1, xs);
    }
  }
  const auto all = static_cast<std::uint32_t>((std::uint64_t{1} << a.outputs) - 1);
  const auto lanes0 = static_cast<__mmask16>(all);
  const auto lanes1 = static_cast<__mmask16>(all >> 16);
  __m512 scales0 = _mm512_set1_ps(1);
  __m512 scales1 = scales0;
  if (a.scales != nullptr) {
    scales0 = _mm512_maskz_loadu_ps(lanes0, a.scales);
    scales1 = _mm512_maskz_loadu_ps(lanes1, a.scales + 16);
  }
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
    if (r >= a.rows) break;
    W::in_order(sum[r][0], sum[r][1]);
    float* y = a.y + r * a.y_stride;
    _mm512_mask_storeu_ps(y, lanes0, _mm512_mul_ps(sum[r][0], scales0));
    _mm512_mask_storeu_ps(y + 16, lanes1, _mm512_mul_ps(sum[r][1], scales1));
  }
}

constexpr int kSizes[] = {1, 2, 3, 4, 6, 8, 12};
template <class W>
constexpr DenseTile kTiles[] = {multiply<W, 1>, multiply<W, 2>, multiply<W, 3>, multiply<W, 4>,
                                multiply<W, 6>, multiply<W, 8>, multiply<W, 12>};
template <class W>
constexpr DenseTiles kAll{kSizes, kTiles<W>, 7};

}  // namespace

const Bf16PanelKernels kBf16PanelsAvx512Bf16{kAll<Bf16>, kAll<F8>};

void round_to_bf16_avx512(const float* x, std::int64_t count, std::uint16_t* out) {
  for (std::int64_t i = 0; i < count; i += 16) {
    const std::int64_t left = count - i;
    const auto lanes = static_cast<__mmask16>(left >= 16 ? 0xffffu : (1u << left) - 1u);
    const __m256bh rounded = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(lanes, x + i));
    _mm256_mask_storeu_epi16(out + i, lanes, reinterpret_cast<__m256i>(rounded));
  }
}

}  // namespace plimsoll::kernels
