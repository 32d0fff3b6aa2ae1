// Attention for many queries (prefill): tiles with online softmax, FlashAttention-2's loop order
// (arXiv:2307.08691). Memory is O(queries head_dim), scores stay in the first-level cache.
//
// Threads split query tiles. A tile walks the keys that any of its rows sees, so that what
// causality or a window masks is skipped. The arithmetic is attention_tile's.
#pragma once

#include <span>

#include "kernels/attention/attention.h"

namespace plimsoll::kernels {

/// Best first, the oracle last.
std::span<const KernelVariant<AttentionArgs>> attention_flash_variants();

}  // namespace plimsoll::kernels
