// The arithmetic of attention_tile, for any register width. For instruction-set files only:
// internal linkage throughout.
//
// Both products are  acc[row][column] += a[row][k] b[k][column]  with b as it lies in the block:
// scores have b = keys (k: elements, columns: tokens), the output has b = values (k: tokens,
// columns: elements). Each (row, column) is one chain of additions in the order of k, so that a
// row's bits do not depend on which rows are computed beside it.
#pragma once

#include <immintrin.h>

#include "kernels/attention_tile/attention_tile_isa.h"

#if defined(__clang__)
#define PLIMSOLL_UNROLL _Pragma("clang loop unroll(full)")
#else
#define PLIMSOLL_UNROLL _Pragma("GCC unroll 16")
#endif

namespace plimsoll::kernels {
namespace {

constexpr int kBlock = 16;  // kv::kBlockTokens
constexpr int kLine = 64;   // bytes of a cache line
constexpr float kMinusInfinity = -__builtin_inff();

/// Formats. kPair: consecutive k that lie side by side in a column. kProducts: operands that a load
/// gives, one multiplication each; as many A stand in a row of q or of weights for a load.
template <class V>
struct FloatProducts {
  using A = float;
  using Operand = typename V::Reg;
  static constexpr bool kScaled = false;
  static Operand broadcast(A a) { return V::set1(a); }
  static typename V::Reg fma(Operand a, Operand b, typename V::Reg c) { return V::fma(a, b, c); }
  static void store_weights(A* row, std::int64_t column, typename V::Reg x) {
    V::store(row + column, x);
  }
};
template <class V>
struct F32 : FloatProducts<V> {
  static constexpr int kPair = 1, kProducts = 1, kBytes = 4;
  static void load(const std::byte* p, typename V::Reg (&b)[1]) {
    b[0] = V::load(reinterpret_cast<const float*>(p));
  }
};
template <class V>
struct Fp16 : FloatProducts<V> {
  static constexpr int kPair = 1, kProducts = 1, kBytes = 2;
  static void load(const std::byte* p, typename V::Reg (&b)[1]) { b[0] = V::from_f16(p); }
};
template <class V>
struct Int8 : FloatProducts<V> {
  static constexpr int kPair = 1, kProducts = 1, kBytes = 1;
  static constexpr bool kScaled = true;
  static void load(const std::byte* p, typename V::Reg (&b)[1]) { b[0] = V::from_i8(p); }
};
template <class V>
struct Bf16 : FloatProducts<V> {
  static constexpr int kPair = 2, kProducts = 2, kBytes = 2;
  static void load(const std::byte* p, typename V::Reg (&b)[2]) {
    V::from_bf16_pairs(p, b[0], b[1]);
  }
};

/// Blocks lie anywhere, so that the hardware's prefetchers lose track at the end of each.
inline void fetch_line(AttentionAhead& ahead) {
  if (ahead.line == ahead.end) {
    if (ahead.next == ahead.last) return;
    ahead.line = *ahead.next++;
    ahead.end = ahead.line + ahead.piece_bytes;
  }
  _mm_prefetch(reinterpret_cast<const char*>(ahead.line), _MM_HINT_T1);
  ahead.line += kLine;
}

/// As much as a step reads that takes kBytes, on average over the steps.
template <int kBytes>
[[gnu::always_inline]] inline void fetch(AttentionAhead& ahead, std::int64_t step) {
  if constexpr (kBytes >= kLine) {
    PLIMSOLL_UNROLL
    for (int i = 0; i < kBytes / kLine; ++i) fetch_line(ahead);
  } else if (step % (kLine / kBytes) == 0) {
    fetch_line(ahead);
  }
}

/// acc += a b over `steps` steps of kPair k. b[n] is register n's column, `step_bytes` from k to k.
/// kAhead: fetches from `ahead` as much as it reads.
template <class V, class F, bool kAhead, int R, int N>
[[gnu::always_inline]] inline void multiply(typename V::Reg (&acc)[R][N], const typename F::A* a,
                                            std::int64_t a_stride, const std::byte* const (&b)[N],
                                            std::int64_t step_bytes, std::int64_t steps,
                                            AttentionAhead* ahead) {
  AttentionAhead local;  // in registers
  if constexpr (kAhead) local = *ahead;
  for (std::int64_t step = 0; step < steps; ++step) {
    typename F::Operand column[N][F::kProducts];
    PLIMSOLL_UNROLL
    for (int n = 0; n < N; ++n) F::load(b[n] + step * step_bytes, column[n]);
    if constexpr (kAhead) fetch<N * V::kLanes * F::kPair * F::kBytes>(local, step);
    PLIMSOLL_UNROLL
    for (int r = 0; r < R; ++r) {
      PLIMSOLL_UNROLL
      for (int i = 0; i < F::kProducts; ++i) {
        const typename F::Operand x = F::broadcast(a[r * a_stride + step * F::kProducts + i]);
        PLIMSOLL_UNROLL
        for (int n = 0; n < N; ++n) acc[r][n] = F::fma(x, column[n][i], acc[r][n]);
      }
    }
  }
  if constexpr (kAhead) *ahead = local;
}

/// One tile, R rows from `row` on.
template <class V, class F, bool kAhead, int R>
struct Tile {
  using Reg = typename V::Reg;
  using A = typename F::A;
  static constexpr int kRegisters = kBlock / V::kLanes;  // of a block's 16 tokens
  /// Bytes of a register's columns, and of all tokens of one k.
  static constexpr std::int64_t kColumnBytes = V::kLanes * F::kPair * F::kBytes;
  static constexpr std::int64_t kKeyStep = kBlock * F::kPair * F::kBytes;
  /// A's that stand for `count` elements or tokens.
  static constexpr std::int64_t packed(std::int64_t count) {
    return count * F::kProducts / F::kPair;
  }

  Tile(const AttentionPart& the_part, const AttentionState& the_state, std::int64_t first_row)
      : part(the_part),
        state(the_state),
        row(first_row),
        q(reinterpret_cast<const A*>(the_part.q) + first_row * packed(the_part.padded_dim)),
        block(the_part.first_block),
        blocks(static_cast<int>(the_part.last_block - the_part.first_block)) {}

  const AttentionPart& part;
  const AttentionState& state;
  std::int64_t row;
  const A* q;
  std::int64_t block;
  int blocks;
  alignas(64) float scores[R][kAttentionTile];
  alignas(64) A weights[R][packed(kAttentionTile)];

  const std::byte* at(const std::byte* base, std::int64_t index) const {
    return base + part.table[block + index] * part.block_bytes;
  }
  float* totals(int r) const { return state.totals + (row + r) * kAttentionLanes; }

  template <int N>
  [[gnu::always_inline]] void score_columns(std::int64_t first) {
    const std::byte* keys[N];
    Reg acc[R][N];
    PLIMSOLL_UNROLL
    for (int n = 0; n < N; ++n) {
      keys[n] = at(part.keys, (first + n) / kRegisters) + (first + n) % kRegisters * kColumnBytes;
      PLIMSOLL_UNROLL
      for (int r = 0; r < R; ++r) acc[r][n] = V::zero();
    }
    multiply<V, F, kAhead, R, N>(acc, q, packed(part.padded_dim), keys, kKeyStep,
                                 (part.head_dim + F::kPair - 1) / F::kPair, part.ahead);
    PLIMSOLL_UNROLL
    for (int n = 0; n < N; ++n) {
      PLIMSOLL_UNROLL
      for (int r = 0; r < R; ++r) V::store(scores[r] + (first + n) * V::kLanes, acc[r][n]);
    }
  }

  /// scores = q k, of all keys in the blocks whether seen or not.
  void score() {
    constexpr int kColumns = R <= 2 ? 4 : 2;  // enough chains at once to hide a multiply-add's time
    const std::int64_t registers = blocks * kRegisters;
    std::int64_t first = 0;
    for (; first + kColumns <= registers; first += kColumns) score_columns<kColumns>(first);
    if constexpr (kColumns == 4) {
      for (; first + 2 <= registers; first += 2) score_columns<2>(first);
    }
    for (; first < registers; ++first) score_columns<1>(first);
    if constexpr (F::kScaled) scale_scores();
  }

  void scale_scores() {
    for (int b = 0; b < blocks; ++b) {
      const float* scales = part.key_scales + part.table[block + b] * part.block_scales;
      for (int r = 0; r < R; ++r) {
        for (int c = 0; c < kBlock; c += V::kLanes) {
          float* target = scores[r] + b * kBlock + c;
          V::store(target, V::mul(V::load(target), V::load(scales + c)));
        }
      }
    }
  }

  void mask(int r) {
    const std::int64_t tokens = blocks * kBlock;
    const std::int64_t begin = part.begin[row + r] - block * kBlock;
    const std::int64_t end = part.end[row + r] - block * kBlock;
    if (begin <= 0 && end >= tokens) return;
    for (std::int64_t c = 0; c < tokens; c += V::kLanes) {
      V::store(scores[r] + c,
               V::keep(V::load(scores[r] + c), begin - c, end - c, V::set1(kMinusInfinity)));
    }
  }

  /// Raises the row's maximum where a score exceeds it, and scales down what was summed below it.
  /// Leaving that out where the maximum stays changes no bit, since the factor would be 1, nor does
  /// it where nothing was summed.
  void raise_largest(int r) {
    const std::int64_t tokens = blocks * kBlock;
    Reg largest = V::load(scores[r]);
    for (std::int64_t c = V::kLanes; c < tokens; c += V::kLanes) {
      largest = V::max(largest, V::load(scores[r] + c));
    }
    float& before = state.largest[row + r];
    if (!V::any_greater(largest, V::set1(before))) return;
    const float now = V::lanes_max(V::max(largest, V::set1(before)));
    const bool first = before == kMinusInfinity;
    const Reg factor = V::exp2(V::set1(before - now));
    before = now;
    if (first) return;
    V::store(totals(r), V::mul(V::load(totals(r)), factor));
    float* out = state.out + (row + r) * part.padded_dim;
    for (std::int64_t d = 0; d < part.padded_dim; d += V::kLanes) {
      V::store(out + d, V::mul(V::load(out + d), factor));
    }
  }

  /// weights = 2^(score - largest), summed in the order of blocks, a lane each.
  void weigh(int r) {
    const std::int64_t tokens = blocks * kBlock;
    const float largest = state.largest[row + r];
    const Reg base = V::set1(largest == kMinusInfinity ? 0 : largest);
    Reg total = V::load(totals(r));
    for (std::int64_t c = 0; c < tokens; c += V::kLanes) {
      const Reg weight = V::exp2(V::sub(V::load(scores[r] + c), base));
      total = V::add(total, weight);
      if constexpr (F::kScaled) {
        const float* scales =
            part.value_scales + part.table[block + c / kBlock] * part.block_scales + c % kBlock;
        // A slot that nobody has written yet has any scale, a NaN too.
        const Reg seen = V::keep(V::load(scales), part.begin[row + r] - block * kBlock - c,
                                 part.end[row + r] - block * kBlock - c, V::zero());
        F::store_weights(weights[r], c, V::mul(weight, seen));
      } else {
        F::store_weights(weights[r], c, weight);
      }
    }
    V::store(totals(r), total);
  }

  template <int N>
  [[gnu::always_inline]] void mix_columns(std::int64_t first, std::int64_t tokens) {
    const std::int64_t step_bytes = part.padded_dim * F::kPair * F::kBytes;
    float* out = state.out + row * part.padded_dim + first * V::kLanes;
    Reg acc[R][N];
    PLIMSOLL_UNROLL
    for (int r = 0; r < R; ++r) {
      PLIMSOLL_UNROLL
      for (int n = 0; n < N; ++n) acc[r][n] = V::load(out + r * part.padded_dim + n * V::kLanes);
    }
    for (int b = 0; b < blocks; ++b) {
      const std::int64_t count = tokens - b * kBlock < kBlock ? tokens - b * kBlock : kBlock;
      const std::byte* values[N];
      PLIMSOLL_UNROLL
      for (int n = 0; n < N; ++n) values[n] = at(part.values, b) + (first + n) * kColumnBytes;
      multiply<V, F, kAhead, R, N>(acc, weights[0] + packed(b * kBlock), packed(kAttentionTile),
                                   values, step_bytes, (count + F::kPair - 1) / F::kPair,
                                   part.ahead);
    }
    PLIMSOLL_UNROLL
    for (int r = 0; r < R; ++r) {
      PLIMSOLL_UNROLL
      for (int n = 0; n < N; ++n) V::store(out + r * part.padded_dim + n * V::kLanes, acc[r][n]);
    }
  }

  /// out += weights v, over the tokens that some row sees: what comes after may hold anything.
  void mix() {
    std::int64_t tokens = 0;
    for (int r = 0; r < R; ++r) {
      const std::int64_t end = part.end[row + r] - block * kBlock;
      tokens = end > tokens ? end : tokens;
    }
    tokens = tokens < blocks * kBlock ? tokens : blocks * kBlock;
    constexpr int kColumns = R <= 2 ? 4 : 2;
    const std::int64_t registers = part.padded_dim / V::kLanes;
    std::int64_t first = 0;
    for (; first + kColumns <= registers; first += kColumns) mix_columns<kColumns>(first, tokens);
    if constexpr (kColumns == 4) {
      for (; first + 2 <= registers; first += 2) mix_columns<2>(first, tokens);
    }
    for (; first < registers; ++first) mix_columns<1>(first, tokens);
  }

  void run() {
    score();
    for (int r = 0; r < R; ++r) {
      mask(r);
      raise_largest(r);
      weigh(r);
    }
    mix();
  }
};

/// Rows from `row` on in groups of R.
template <class V, class F, int R>
std::int64_t run_groups(const AttentionPart& part, const AttentionState& state, std::int64_t row) {
  for (; row + R <= part.rows; row += R) {
    if (part.ahead != nullptr) {
      Tile<V, F, true, R>(part, state, row).run();
    } else {
      Tile<V, F, false, R>(part, state, row).run();
    }
  }
  return row;
}

template <class V, class F>
void run_part(const AttentionPart& part, const AttentionState& state) {
  std::int64_t row = 0;
  if constexpr (V::kRows >= 8) row = run_groups<V, F, 8>(part, state, row);
  row = run_groups<V, F, 4>(part, state, row);
  row = run_groups<V, F, 2>(part, state, row);
  run_groups<V, F, 1>(part, state, row);
}

template <class V>
void pack_f32(const float* q, std::int64_t head_dim, std::int64_t padded_dim, float scale,
              std::byte* target) {
  auto* out = reinterpret_cast<float*>(target);
  for (std::int64_t d = 0; d < padded_dim; d += V::kLanes) {
    V::store(out + d, V::mul(V::load_some(q + d, head_dim - d), V::set1(scale)));
  }
}

template <class V>
void merge(const AttentionState& total, const AttentionState& part, std::int64_t rows,
           std::int64_t padded_dim) {
  for (std::int64_t r = 0; r < rows; ++r) {
    if (part.largest[r] == kMinusInfinity) continue;
    const float largest = total.largest[r] > part.largest[r] ? total.largest[r] : part.largest[r];
    // Of no keys yet: 2^-inf = 0, and what is added to is zero.
    const auto before = V::exp2(V::set1(total.largest[r] - largest));
    const auto after = V::exp2(V::set1(part.largest[r] - largest));
    total.largest[r] = largest;
    float* sums = total.totals + r * kAttentionLanes;
    V::store(sums, V::fma(V::load(sums), before,
                          V::mul(V::load(part.totals + r * kAttentionLanes), after)));
    float* sum = total.out + r * padded_dim;
    const float* more = part.out + r * padded_dim;
    for (std::int64_t d = 0; d < padded_dim; d += V::kLanes) {
      V::store(sum + d, V::fma(V::load(sum + d), before, V::mul(V::load(more + d), after)));
    }
  }
}

/// Adding zero makes a negative zero positive: which of the two a sum ends in depends on masked
/// keys beside it.
template <class V>
void finish(const float* out, const float* totals, std::int64_t head_dim, float* target) {
  const auto total = V::set1(V::lanes_sum(V::load(totals)));
  for (std::int64_t d = 0; d < head_dim; d += V::kLanes) {
    const auto y = V::add(V::div(V::load(out + d), total), V::zero());
    V::store_some(target + d, head_dim - d, y);
  }
}

}  // namespace
}  // namespace plimsoll::kernels
