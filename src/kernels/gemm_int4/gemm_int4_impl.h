// gemm_int4 for any register width. For instruction-set files only: internal linkage throughout.
//
// V is a vector type of kernels/simd with what the packing needs besides: Words (a register of
// words), load_words (of the panel's outputs from n on), centred_codes (code - 8 of one column),
// and how a group's scales and zero points are read.
#pragma once

#include "kernels/gemm_int4/gemm_int4_isa.h"

namespace plimsoll::kernels {
namespace {

// Words at once: sums, scales and zeros are fetched once for all of them.
constexpr int kWordsAtOnce = 4;

// sums[r] += scale * (sum of x (code - 8) - (zero - 8) * sum of x), over W words of one group.
template <class V, int R, int W>
void add_word(const Int4Panel& p, const Int4Buffers& b, const Int4Activations& a,
              std::int64_t word) {
  const std::int32_t* codes = p.codes + word * p.stride;
  const float* x = a.x + 8 * word;
  float x_sums[R] = {};
  for (int r = 0; r < R; ++r) {
    for (int i = 0; i < W; ++i) x_sums[r] += a.word_sums[r * p.words + word + i];
  }
  for (std::int64_t n = 0; n < p.outputs; n += V::kLanes) {
    const auto zeros = V::load(b.zeros + n);
    typename V::Reg sum[R];
    for (int r = 0; r < R; ++r) sum[r] = V::mul(zeros, V::set1(-x_sums[r]));
    for (int i = 0; i < W; ++i) {
      const auto words = V::load_words(codes + i * p.stride + n, p.outputs - n);
#pragma GCC unroll 8
      for (int c = 0; c < 8; ++c) {
        const auto weights = V::centred_codes(words, c);
        for (int r = 0; r < R; ++r) {
          sum[r] = V::fma(weights, V::set1(x[r * 8 * p.words + 8 * i + c]), sum[r]);
        }
      }
    }
    const auto scales = V::load(b.scales + n);
    for (int r = 0; r < R; ++r) {
      float* total = b.sums + r * b.stride + n;
      V::store(total, V::fma(scales, sum[r], V::load(total)));
    }
  }
}

// The same with a scale and a zero point a column.
template <class V, int R>
void add_mixed_word(const Int4Panel& p, const Int4Buffers& b, const Int4Activations& a,
                    std::int64_t word) {
  const std::int32_t* codes = p.codes + word * p.stride;
  const std::int32_t* groups = p.group_index + 8 * word;
  const float* x = a.x + 8 * word;
  for (std::int64_t n = 0; n < p.outputs; n += V::kLanes) {
    const auto words = V::load_words(codes + n, p.outputs - n);
    typename V::Reg sum[R];
    for (int r = 0; r < R; ++r) sum[r] = V::load(b.sums + r * b.stride + n);
#pragma GCC unroll 8
    for (int c = 0; c < 8; ++c) {
      const std::int64_t at = groups[c] * b.stride + n;
      const auto weights =
          V::mul(V::sub(V::centred_codes(words, c), V::load(b.zeros + at)), V::load(b.scales + at));
      for (int r = 0; r < R; ++r) {
        sum[r] = V::fma(weights, V::set1(x[r * 8 * p.words + c]), sum[r]);
      }
    }
    for (int r = 0; r < R; ++r) V::store(b.sums + r * b.stride + n, sum[r]);
  }
}

template <class V>
void prepare(const Int4Panel& p, std::int64_t group, std::int64_t row, const Int4Buffers& b) {
  for (std::int64_t n = 0; n < p.outputs; n += V::kLanes) {
    const std::int64_t left = p.outputs - n;
    V::store(b.scales + row * b.stride + n, V::load_scales(p.scales + group * p.stride + n, left));
    V::store(b.zeros + row * b.stride + n,
             V::load_centred_zeros(p.zeros + group * (p.stride / 8) + n / 8, left));
  }
}

template <class V, int R = 1>
void add_words(const Int4Panel& p, const Int4Buffers& b, const Int4Activations& a,
               std::int64_t begin, std::int64_t end) {
  if (a.rows == R) {
    std::int64_t word = begin;
    for (; word + kWordsAtOnce <= end; word += kWordsAtOnce) {
      add_word<V, R, kWordsAtOnce>(p, b, a, word);
    }
    for (; word < end; ++word) add_word<V, R, 1>(p, b, a, word);
  } else if constexpr (R < kInt4Rows) {
    add_words<V, R + 1>(p, b, a, begin, end);
  }
}

template <class V, int R = 1>
void add_mixed_words(const Int4Panel& p, const Int4Buffers& b, const Int4Activations& a,
                     std::int64_t begin, std::int64_t end) {
  if (a.rows == R) {
    for (std::int64_t word = begin; word < end; ++word) add_mixed_word<V, R>(p, b, a, word);
  } else if constexpr (R < kInt4Rows) {
    add_mixed_words<V, R + 1>(p, b, a, begin, end);
  }
}

template <class V>
constexpr Int4Kernels kInt4{prepare<V>, add_words<V>, add_mixed_words<V>};

}  // namespace
}  // namespace plimsoll::kernels
