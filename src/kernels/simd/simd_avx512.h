// Registers of 16 floats. For instruction-set files only: internal linkage throughout.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/simd/exp2.h"

namespace plimsoll::kernels {
namespace {

struct Avx512 {
  using Reg = __m512;
  static constexpr int kLanes = 16;

  static Reg zero() { return _mm512_setzero_ps(); }
  static Reg set1(float x) { return _mm512_set1_ps(x); }
  static Reg load(const float* p) { return _mm512_loadu_ps(p); }
  /// The first `count` floats, zeros after them.
  static Reg load_some(const float* p, std::int64_t count) {
    return _mm512_maskz_loadu_ps(first_lanes(count), p);
  }
  static void store(float* p, Reg x) { _mm512_storeu_ps(p, x); }
  static void store_some(float* p, std::int64_t count, Reg x) {
    _mm512_mask_storeu_ps(p, first_lanes(count), x);
  }
  static Reg add(Reg a, Reg b) { return _mm512_add_ps(a, b); }
  static Reg sub(Reg a, Reg b) { return _mm512_sub_ps(a, b); }
  static Reg mul(Reg a, Reg b) { return _mm512_mul_ps(a, b); }
  static Reg div(Reg a, Reg b) { return _mm512_div_ps(a, b); }
  static Reg fma(Reg a, Reg b, Reg c) { return _mm512_fmadd_ps(a, b, c); }
  static Reg max(Reg a, Reg b) { return _mm512_max_ps(a, b); }
  static float lanes_max(Reg x) { return _mm512_reduce_max_ps(x); }
  static float lanes_sum(Reg x) { return _mm512_reduce_add_ps(x); }
  static bool any_greater(Reg a, Reg b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ) != 0; }
  /// Lanes [begin, end) of x, which may lie outside the register; `other` in the rest.
  static Reg keep(Reg x, std::int64_t begin, std::int64_t end, Reg other) {
    return _mm512_mask_blend_ps(
        static_cast<__mmask16>(first_lanes(end) & ~static_cast<unsigned>(first_lanes(begin))),
        other, x);
  }
  /// See exp2.h. scalef takes floor of its second operand, reduce gives x - floor(x) and 0 for
  /// infinities.
  static Reg exp2(Reg x) {
    const Reg r = _mm512_reduce_ps(x, 1);
    Reg p = fma(r, set1(kExp2Terms[4]), set1(kExp2Terms[3]));
    p = fma(r, p, set1(kExp2Terms[2]));
    p = fma(r, p, set1(kExp2Terms[1]));
    p = fma(r, p, set1(kExp2Terms[0]));
    p = fma(r, p, set1(1));
    return _mm512_maskz_scalef_ps(_mm512_cmp_ps_mask(x, set1(kExp2Smallest), _CMP_NLT_UQ), p, x);
  }

  static Reg from_f16(const void* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
  }
  static Reg from_i8(const void* p) {
    return _mm512_cvtepi32_ps(
        _mm512_cvtepi8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p))));
  }
  /// 16 pairs of bf16: their first and their second elements.
  static void from_bf16_pairs(const void* p, Reg& even, Reg& odd) {
    const __m512i pairs = _mm512_loadu_si512(p);
    even = _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16));
    odd = _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(-65536)));
  }

 private:
  static __mmask16 first_lanes(std::int64_t count) {
    return static_cast<__mmask16>(count <= 0 ? 0u : count >= 16 ? 0xffffu : (1u << count) - 1);
  }
};

}  // namespace
}  // namespace plimsoll::kernels
