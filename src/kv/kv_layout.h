// Writing tokens into blocks, and reading them back one by one. The layout is drawn in kv_view.h.
#pragma once

#include <cstdint>

#include "kv/kv_view.h"

namespace plimsoll::kv {

/// Stores tokens [begin, begin + count) of `view`, which lie within [view.first, view.length).
/// keys and values: f32 [count, kv_heads, head_dim], contiguous. Rounds to nearest, ties to even.
/// Tokens are written in order: a token at an even slot clears the slot after it.
void write_tokens(const KvView& view, std::int64_t begin, std::int64_t count, const float* keys,
                  const float* values);

/// One token's key or value of one KV head, head_dim elements as f32. Scalar: for oracles and
/// tests.
void read_key(const KvView& view, std::int64_t token, std::int64_t head, float* target);
void read_value(const KvView& view, std::int64_t token, std::int64_t head, float* target);

}  // namespace plimsoll::kv
