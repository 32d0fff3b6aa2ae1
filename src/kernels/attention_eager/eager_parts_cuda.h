// What attention_eager does on a GPU beside the library's products. T is the type of its operands:
// f16 over a cache of fp16 or int8, bf16, or f32.
#pragma once

#include "kernels/attention_prefill/attention_prefill_cuda.h"

namespace plimsoll::kernels::eager {

/// A span's matrices, contiguous, of the device. `keys` tokens (a multiple of 16) of which those
/// that the span does not see are zero in `k` and `v`, and have weights of zero.
struct Parts {
  std::int64_t keys = 0;
  void* q = nullptr;        // T [heads, rows, head_dim]
  void* k = nullptr;        // T [kv_heads, keys, head_dim]
  void* v = nullptr;        // T [kv_heads, head_dim, keys]
  float* scores = nullptr;  // [heads, rows, keys]
  void* weights = nullptr;  // T [heads, rows, keys]
};

/// Fills q, k and v.
void gather(const DevicePrefillArgs& args, const PrefillSpan& span, const Parts& parts,
            cudaStream_t stream);

/// Fills weights: each row's softmax of scale times the scores of the keys that it sees.
void softmax(const DevicePrefillArgs& args, const PrefillSpan& span, const Parts& parts,
             cudaStream_t stream);

}  // namespace plimsoll::kernels::eager
