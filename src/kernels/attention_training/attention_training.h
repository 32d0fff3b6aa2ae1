// Causal attention of one whole sequence with its gradient, for training: keys and values are
// contiguous, nothing is cached.
//
// FlashAttention-2 (arXiv:2307.08691): scores exist a tile at a time. Forward keeps, besides the
// output, the logarithm of each softmax's denominator; backward computes the scores again from it.
// Memory beyond inputs and outputs is one number a query and head, and a few tiles a thread.
#pragma once

#include <cstdint>

namespace plimsoll::kernels {

struct AttentionTrainingArgs {
  const float* q = nullptr;  // [length, heads, head_dim]
  const float* k = nullptr;  // [length, kv_heads, head_dim]
  const float* v = nullptr;  // [length, kv_heads, head_dim]
  std::int64_t length = 0;
  std::int64_t heads =
      0;  // a multiple of kv_heads; query head h reads KV head h * kv_heads / heads
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  float scale = 1;           // of the scores
  std::int64_t window = 0;   // query i sees keys j with i - window < j <= i; 0: all j <= i
  float* out = nullptr;      // [length, heads, head_dim]; written by forward, read by backward
  float* log_sum = nullptr;  // [heads, length]: log of the sum of exp(score); likewise
};

struct AttentionGradientArgs {
  AttentionTrainingArgs forward;
  const float* dout = nullptr;  // [length, heads, head_dim]
  float* dq = nullptr;          // [length, heads, head_dim]; all three are added to
  float* dk = nullptr;          // [length, kv_heads, head_dim]
  float* dv = nullptr;
};

/// KV heads [begin, end) on the calling thread: the caller spreads sequences and heads over the
/// team.
void attention_training_forward(const AttentionTrainingArgs& args, std::int64_t begin,
                                std::int64_t end);
void attention_training_backward(const AttentionGradientArgs& args, std::int64_t begin,
                                 std::int64_t end);

}  // namespace plimsoll::kernels
