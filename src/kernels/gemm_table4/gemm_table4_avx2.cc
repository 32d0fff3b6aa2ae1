#include <immintrin.h>

#include "kernels/gemm_table4/gemm_table4_isa.h"

namespace plimsoll::kernels {

namespace {

// One register of codes is 64 weights: one scale block.
constexpr std::int64_t kBlock = 64;

struct Table {
  __m256 low;   // levels of codes 0 to 7
  __m256 high;  // 8 to 15
};

Table load_table(const float* table) {
  return {_mm256_loadu_ps(table), _mm256_loadu_ps(table + 8)};
}

__m256i load_codes(const std::uint8_t* codes) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes));
}

// vpermps reads three bits of each lane; the fourth, moved to the sign, chooses between the halves.
template <int kNibble>
__m256 weights_of(__m256i codes, const Table& table) {
  const __m256i index = _mm256_srli_epi32(codes, 4 * kNibble);
  const __m256i fourth_bit = _mm256_slli_epi32(codes, 28 - 4 * kNibble);
  return _mm256_blendv_ps(_mm256_permutevar8x32_ps(table.low, index),
                          _mm256_permutevar8x32_ps(table.high, index),
                          _mm256_castsi256_ps(fourth_bit));
}

template <int R, int kNibble = 0>
void accumulate(__m256i codes, const Table& table, const float* packed, std::int64_t packed_stride,
                __m256* sum) {
  const __m256 weights = weights_of<kNibble>(codes, table);
  for (int r = 0; r < R; ++r) {
    const __m256 x = _mm256_loadu_ps(packed + r * packed_stride + kNibble * 8);
    sum[r] = _mm256_fmadd_ps(weights, x, sum[r]);
  }
  if constexpr (kNibble < 7) accumulate<R, kNibble + 1>(codes, table, packed, packed_stride, sum);
}

float sum_lanes(__m256 v) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

template <int R>
void product(const Table4Rows& w, const float* packed, std::int64_t packed_stride, float* y,
             std::int64_t y_stride) {
  const Table table = load_table(w.table);
  const std::int64_t blocks = w.columns / kBlock;
  for (std::int64_t n = 0; n < w.outputs; ++n) {
    const std::uint8_t* codes = w.codes + n * (w.columns / 2);
    const float* scales = w.scales + n * blocks;
    __m256 total[R];
    for (int r = 0; r < R; ++r) total[r] = _mm256_setzero_ps();
    for (std::int64_t b = 0; b < blocks; ++b) {
      __m256 sum[R];
      for (int r = 0; r < R; ++r) sum[r] = _mm256_setzero_ps();
      accumulate<R>(load_codes(codes + b * (kBlock / 2)), table, packed + b * kBlock, packed_stride,
                    sum);
      const __m256 scale = _mm256_set1_ps(scales[b]);
      for (int r = 0; r < R; ++r) total[r] = _mm256_fmadd_ps(sum[r], scale, total[r]);
    }
    for (int r = 0; r < R; ++r) y[r * y_stride + n] = sum_lanes(total[r]);
  }
}

template <int kNibble = 0>
void decode_block(__m256i codes, const Table& table, __m256 scale, float* out) {
  _mm256_storeu_ps(out + kNibble * 8, _mm256_mul_ps(weights_of<kNibble>(codes, table), scale));
  if constexpr (kNibble < 7) decode_block<kNibble + 1>(codes, table, scale, out);
}

}  // namespace

void table4_product_avx2(const Table4Rows& w, const float* packed, std::int64_t packed_stride,
                         std::int64_t rows, float* y, std::int64_t y_stride) {
  switch (rows) {
    case 1:
      return product<1>(w, packed, packed_stride, y, y_stride);
    case 2:
      return product<2>(w, packed, packed_stride, y, y_stride);
    case 3:
      return product<3>(w, packed, packed_stride, y, y_stride);
    default:
      return product<4>(w, packed, packed_stride, y, y_stride);
  }
}

void table4_decode_avx2(const Table4Rows& w, std::int64_t begin, std::int64_t end, float* tile,
                        std::int64_t tile_stride) {
  const Table table = load_table(w.table);
  for (std::int64_t n = 0; n < w.outputs; ++n) {
    const std::uint8_t* codes = w.codes + n * (w.columns / 2);
    const float* scales = w.scales + n * (w.columns / kBlock);
    float* out = tile + n * tile_stride;
    for (std::int64_t b = begin / kBlock; b < end / kBlock; ++b, out += kBlock) {
      decode_block(load_codes(codes + b * (kBlock / 2)), table, _mm256_set1_ps(scales[b]), out);
    }
  }
}

}  // namespace plimsoll::kernels
