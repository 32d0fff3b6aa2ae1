// The textbook way: each head's whole score matrix, through the dense library. The baseline that
// attention_flash is measured against. Memory grows with queries times keys.
//
// exact: fp32 products, softmax in fp32. fast over a bf16 cache: queries and weights are rounded to
// bf16, products through the library's bf16 units, softmax in fp32. The library promises no order
// of additions: a row's last bits depend on the rows beside it.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/attention/attention.h"

namespace plimsoll::kernels {

/// Best first, the oracle last.
std::span<const KernelVariant<AttentionArgs>> attention_eager_variants();

/// What it allocates while it runs: score matrices and copies of keys and values, one a thread.
std::int64_t attention_eager_bytes(const AttentionArgs& args);

}  // namespace plimsoll::kernels
