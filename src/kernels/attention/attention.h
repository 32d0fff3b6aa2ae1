// Scaled dot-product attention of one sequence over its cache: what every implementation takes, and
// the oracle. The implementations are attention_eager, attention_flash and attention_decode.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/variant.h"
#include "kernels/linear_args.h"
#include "kv/kv_view.h"

namespace plimsoll::kernels {

/// Largest head dim of the vector kernels; the oracle takes any.
inline constexpr std::int64_t kMaxHeadDim = 256;

/// The q_len queries are the last of kv.length positions: query i stands at kv.length - q_len + i.
/// Query head h reads KV head h / (heads / kv.layout.kv_heads). Each query sees at least one key,
/// and none before kv.first.
struct AttentionArgs {
  const float* q = nullptr;  // [q_len, heads, head_dim]
  std::int64_t q_len = 0;
  std::int64_t heads = 0;  // a multiple of kv.layout.kv_heads
  kv::KvView kv;
  float scale = 1;          // of the scores, usually 1 / sqrt(head_dim)
  bool causal = true;       // key j visible to position i iff j <= i
  std::int64_t window = 0;  // and i - window < j; 0: no window
  float* out = nullptr;     // [q_len, heads, head_dim], apart from q
  Compute compute = Compute::exact;

  std::int64_t group() const { return heads / kv.layout.kv_heads; }
  /// The keys that query i sees: [visible_begin, visible_end).
  std::int64_t visible_begin(std::int64_t i) const {
    return window > 0 ? std::max<std::int64_t>(0, kv.length - q_len + i - window + 1) : 0;
  }
  std::int64_t visible_end(std::int64_t i) const {
    return causal ? kv.length - q_len + i + 1 : kv.length;
  }
};

/// Scalar, double accumulators.
void attention_ref(const AttentionArgs& args);

}  // namespace plimsoll::kernels
