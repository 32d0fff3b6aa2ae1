// Registers of 8 floats. For instruction-set files only: internal linkage throughout.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/simd/exp2.h"

namespace plimsoll::kernels {
namespace {

struct Avx2 {
  using Reg = __m256;
  static constexpr int kLanes = 8;

  static Reg zero() { return _mm256_setzero_ps(); }
  static Reg set1(float x) { return _mm256_set1_ps(x); }
  static Reg load(const float* p) { return _mm256_loadu_ps(p); }
  /// The first `count` floats, zeros after them.
  static Reg load_some(const float* p, std::int64_t count) {
    return _mm256_maskload_ps(p, first_lanes(count));
  }
  static void store(float* p, Reg x) { _mm256_storeu_ps(p, x); }
  static void store_some(float* p, std::int64_t count, Reg x) {
    _mm256_maskstore_ps(p, first_lanes(count), x);
  }
  static Reg add(Reg a, Reg b) { return _mm256_add_ps(a, b); }
  static Reg sub(Reg a, Reg b) { return _mm256_sub_ps(a, b); }
  static Reg mul(Reg a, Reg b) { return _mm256_mul_ps(a, b); }
  static Reg div(Reg a, Reg b) { return _mm256_div_ps(a, b); }
  static Reg fma(Reg a, Reg b, Reg c) { return _mm256_fmadd_ps(a, b, c); }
  static Reg max(Reg a, Reg b) { return _mm256_max_ps(a, b); }
  static float lanes_max(Reg x) {
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
  }
  static float lanes_sum(Reg x) {
    __m128 m = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    m = _mm_add_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_add_ss(m, _mm_movehdup_ps(m)));
  }
  static bool any_greater(Reg a, Reg b) {
    return _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_GT_OQ)) != 0;
  }
  /// Lanes [begin, end) of x, which may lie inside the register; `other` in the rest.
  static Reg keep(Reg x, std::int64_t begin, std::int64_t end, Reg other) {
    const __m256i inside = _mm256_andnot_si256(first_lanes(begin), first_lanes(end));
    return _mm256_blendv_ps(other, x, _mm256_castsi256_ps(inside));
  }
  /// See exp2.h.
  static Reg exp2(Reg x) {
    const Reg n = _mm256_floor_ps(x);
    const Reg r = sub(x, n);
    Reg p = fma(r, set1(kExp2Terms[4]), set1(kExp2Terms[3]));
    p = fma(r, p, set1(kExp2Terms[2]));
    p = fma(r, p, set1(kExp2Terms[1]));
    p = fma(r, p, set1(kExp2Terms[0]));
    p = fma(r, p, set1(1));
    const __m256i shifted =
        _mm256_add_epi32(_mm256_castps_si256(p), _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23));
    // NaN: the exponent added to it must not make a number of it.
    const Reg number =
        _mm256_blendv_ps(_mm256_castsi256_ps(shifted), x, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    return _mm256_and_ps(number, _mm256_cmp_ps(x, set1(kExp2Smallest), _CMP_NLT_UQ));
  }

  static Reg from_f16(const void* p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i*>(p)));
  }
  static Reg from_i8(const void* p) {
    return _mm256_cvtepi32_ps(
        _mm256_cvtepi8_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(p))));
  }
  /// 8 pairs of bf16: their first and their second elements.
  static void from_bf16_pairs(const void* p, Reg& even, Reg& odd) {
    const __m256i pairs = _mm256_loadu_si256(static_cast<const __m256i*>(p));
    even = _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16));
    odd = _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32(-65536)));
  }

 private:
  static __m256i first_lanes(std::int64_t count) {
    const int n = static_cast<int>(count <= 0 ? 0 : count >= 8 ? 8 : count);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
};

}  // namespace
}  // namespace plimsoll::kernels
