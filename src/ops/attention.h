// The one place that switches on attention implementation.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "core/tensor.h"
#include "core/variant.h"
#include "kernels/attention/attention.h"
#include "kv/sequence.h"
#include "ops/context.h"

namespace plimsoll::ops {

/// The new tokens of one sequence within a flat batch of rows.
struct SequenceRows {
  kv::Sequence* sequence = nullptr;  // already extended by the new tokens
  std::int64_t begin = 0;            // first row
  std::int64_t count = 0;            // rows, all at the sequence's end
};

struct AttentionSettings {
  std::int64_t heads = 0;
  float scale = 1;
  std::optional<std::int64_t> window;
};

/// Writes the new tokens' keys and values [rows, kv_heads * head_dim] into the layer's cache.
void append_kv(std::span<const SequenceRows> batch, std::int64_t layer, const Tensor& keys,
               const Tensor& values);

/// The kernel that attention() takes, and why.
struct AttentionChoice {
  const KernelVariant<kernels::AttentionArgs>* variant = nullptr;
  std::string reason;
  std::int64_t needs_memory = 0;  // bytes of score matrices and the like, where they grow
};

/// sdpa: attention_decode for few query rows, attention_flash for more: they give the same bits, so
/// that the choice is one of speed alone. It takes eager only where those two cannot run (a CPU
/// without AVX2, a head dim over kernels::kMaxHeadDim), since they are never slower, and the scalar
/// oracle there under Numerics::invariant. InputError when context.attention asks for what cannot
/// run.
AttentionChoice choose_attention(const Context& context, const kernels::AttentionArgs& args);

/// InputError, saying how much, when attention() would need more memory for this shape than there
/// is; or when context.attention cannot run it. For those who will come to it after much work.
void require_attention_memory(const Context& context, const kernels::AttentionArgs& args);

/// Tells context.explain, where there is one, the kernel that runs and why.
void explain_attention(const Context& context, std::int64_t queries, std::int64_t heads,
                       const kv::KvLayout& layout, std::int64_t window, std::string_view kernel,
                       std::string_view reason);

/// For eager attention, on any device: InputError under Numerics::invariant, since the libraries
/// behind it promise no order of additions.
void require_any_order(const Context& context);

/// Causal attention of each sequence's new tokens over its whole cache: q [rows, heads * head_dim]
/// -> the same shape. InputError when eager's score matrices would not fit in memory.
Tensor attention(const Context& context, std::span<const SequenceRows> batch, std::int64_t layer,
                 const Tensor& q, const AttentionSettings& settings);

}  // namespace plimsoll::ops
