// attention_eager on a GPU: keys and values gathered from the paged cache, the whole score matrix
// through cuBLASLt, a softmax over it, weights times values through cuBLASLt. The baseline that
// attention_prefill is measured against.
#pragma once

#include "kernels/attention_prefill/attention_prefill_cuda.h"

namespace plimsoll::kernels {

/// Bytes for spans of up to `rows` rows in sequences of up to `max_length` tokens: scores in f32
/// and weights in the cache's type (f16 for int8), [heads, rows, max_length] each, copies of keys,
/// values and queries, and cuBLASLt's workspace.
std::size_t attention_eager_workspace(const kv::KvLayout& layout, std::int64_t heads,
                                      std::int64_t rows, std::int64_t max_length);

/// What attention_prefill() computes: operands are rounded to 16 bits (over an f32 cache all is
/// f32), int8's keys and values to f16, scores, softmax and sums are f32. The library promises no
/// order of additions. args.scratch is not used; `workspace` is 256-byte aligned. Spans follow each
/// other. InputError where cuBLASLt cannot be opened.
void attention_eager(const DevicePrefillArgs& args, std::byte* workspace, cudaStream_t stream);

}  // namespace plimsoll::kernels
