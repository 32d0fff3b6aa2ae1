// Causal attention of many rows (tokens) of a sequence over the paged cache, on a GPU
// (FlashAttention-2, arXiv:2307.08691): scores exist a tile at a time.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "kv/device_kv_cuda.h"

namespace plimsoll::kernels {

/// Rows of one sequence that follow each other, in the batch and in the sequence.
struct PrefillSpan {
  std::int64_t begin = 0;  // first row
  std::int64_t rows = 0;
};

/// All pointers but `spans` are the device's, 16-byte aligned; strides count floats. Keys and
/// values of all rows are in the cache already (append_kv).
struct DevicePrefillArgs {
  const float* q = nullptr;   // row r's [heads, head_dim] at q + r * q_stride
  std::int64_t q_stride = 0;  // a multiple of 4
  std::int64_t heads = 0;     // a multiple of kv.layout.kv_heads
  float scale = 1;            // of the scores, above 0
  std::int64_t window = 0;    // row r sees keys j with positions[r] - window < j; 0: all
  kv::DeviceKv kv;
  float* out = nullptr;  // [rows, heads, head_dim], contiguous, apart from q
  std::span<const PrefillSpan> spans;
  /// positions[r] < max_length for every row.
  std::int64_t max_length = 0;
  /// Each row to the bit as attention_decode() has it, whatever rows are beside it; slower.
  bool as_decode = false;
  /// As of attention_decode(), for kPrefillScratchRows rows; used over an f32 cache and with
  /// as_decode only.
  std::byte* scratch = nullptr;
  bool dependent = true;
};

/// Rows that go through attention_decode() at a time, over an f32 cache or with as_decode.
inline constexpr std::int64_t kPrefillScratchRows = 64;

/// The kernel that attention_prefill() takes for this cache and this GPU, and why.
struct PrefillChoice {
  const char* kernel = nullptr;  // operation_device: "attention_prefill_sm90_cuda"
  const char* reason = nullptr;
};
PrefillChoice choose_prefill(const kv::KvLayout& layout, bool as_decode);

/// Bytes of a multiprocessor's shared memory that a block of it takes.
std::size_t attention_prefill_shared(const kv::KvLayout& layout);

/// Arithmetic as in attention_decode(). InternalError on what the members above do not allow.
void attention_prefill(const DevicePrefillArgs& args, cudaStream_t stream);

}  // namespace plimsoll::kernels
