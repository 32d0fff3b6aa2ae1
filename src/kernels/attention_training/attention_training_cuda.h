// Attention of attention_training.h on a GPU: all sequences of a batch in one call. nvcc reads
// this header.
//
// FlashAttention-2 (arXiv:2307.08691) on the tensor cores: every operand of a product is rounded to
// TF32 (11 significant bits), sums are f32. No sum is put together by atomics, so that a result has
// the same bits every time: backward goes through the scores twice, once for dk and dv of a tile of
// keys, once for dq of a tile of queries.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace plimsoll::kernels {

/// Head dims that are taken: multiples of 4 up to this. Needs sm_80.
inline constexpr std::int64_t kMaxTrainingHeadDim = 256;

/// All pointers are the device's, 16-byte aligned, f32 but the bounds. Sequences lie one after the
/// other in a flat list of rows.
struct DeviceAttentionTrainingArgs {
  const float* q = nullptr;              // [rows, heads, head_dim]
  const float* k = nullptr;              // [rows, kv_heads, head_dim]
  const float* v = nullptr;              // [rows, kv_heads, head_dim]
  const std::int64_t* bounds = nullptr;  // [sequences + 1]: where each begins, and the end
  std::int64_t sequences = 0;
  std::int64_t rows = 0;     // of all sequences
  std::int64_t longest = 0;  // rows of the longest sequence, or more
  std::int64_t heads = 0;    // a multiple of kv_heads; query head h reads h * kv_heads / heads
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;  // a multiple of 4, at most kMaxTrainingHeadDim
  float scale = 1;            // of the scores
  std::int64_t window = 0;    // query i sees keys j with i - window < j <= i; 0: all j <= i
  float* out = nullptr;       // [rows, heads, head_dim]; written by forward, read by backward
  float* log_sum = nullptr;   // [heads, rows]: log of the sum of exp(score); likewise
};

struct DeviceAttentionGradientArgs {
  DeviceAttentionTrainingArgs forward;
  const float* dout = nullptr;  // [rows, heads, head_dim]
  float* dq = nullptr;          // [rows, heads, head_dim]; all three are added to
  float* dk = nullptr;          // [rows, kv_heads, head_dim]
  float* dv = nullptr;
  float* scratch = nullptr;  // [heads, rows]
};

/// InternalError on a head dim that is not as above.
void attention_training_forward(const DeviceAttentionTrainingArgs& args, cudaStream_t stream);
void attention_training_backward(const DeviceAttentionGradientArgs& args, cudaStream_t stream);

}  // namespace plimsoll::kernels
