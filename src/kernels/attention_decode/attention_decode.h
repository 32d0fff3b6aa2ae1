// Attention for few queries over a long cache (decode): threads split the keys (flash-decoding,
// https://crfm.stanford.edu/2023/10/12/flashdecoding.html). The query heads of a KV head share each
// load of its keys and values.
//
// A split is 512 tokens at an absolute position, however many threads there are; parts are merged
// in their order. The arithmetic is attention_tile's: bit for bit what attention_flash gives.
#pragma once

#include <span>

#include "kernels/attention/attention.h"

namespace plimsoll::kernels {

/// Best first, the oracle last.
std::span<const KernelVariant<AttentionArgs>> attention_decode_variants();

}  // namespace plimsoll::kernels
