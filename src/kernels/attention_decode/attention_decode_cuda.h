// Attention of a decoding step over the paged cache, on a GPU: each row (token) over its own
// sequence, the keys split among blocks (flash-decoding, see attention_decode.h), the query heads
// of a KV head together on the tensor cores. Bound by memory: each key and value is read once.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "kv/device_kv_cuda.h"

namespace plimsoll::kernels {

/// Largest head dim of the GPU's attention; any multiple of 8 up to it.
inline constexpr int kMaxDeviceHeadDim = 256;

/// All pointers are the device's, 16-byte aligned; strides count floats.
struct DeviceDecodeArgs {
  const float* q = nullptr;   // row r's [heads, head_dim] at q + r * q_stride
  std::int64_t q_stride = 0;  // a multiple of 4
  std::int64_t rows = 0;
  std::int64_t heads = 0;   // a multiple of kv.layout.kv_heads; head h reads KV head h / group
  float scale = 1;          // of the scores, above 0
  std::int64_t window = 0;  // row r sees keys j with positions[r] - window < j; 0: all
  kv::DeviceKv kv;
  float* out = nullptr;  // [rows, heads, head_dim], contiguous, apart from q
  /// positions[r] < max_length for every row whenever this is run: it sets the grid, so that a
  /// captured graph serves all lengths up to it. Blocks beyond a row's length leave at once.
  std::int64_t max_length = 0;

  /// Where k is given the row's new key and value are not yet in the cache: this kernel rotates q
  /// and k (unless frequencies is nullptr) and writes k and v, as append_kv() does, and leaves q's
  /// memory as it is. Then all rows must be of different sequences.
  const float* k = nullptr;  // row r's [kv_heads, head_dim] at k + r * q_stride
  const float* v = nullptr;
  const float* frequencies = nullptr;  // [head_dim / 2]

  /// attention_decode_scratch() bytes, zero before the first use; one kernel at a time uses it and
  /// leaves it ready for the next, of whatever shape has no larger need.
  std::byte* scratch = nullptr;
  /// The kernel reads positions, tables and the cache of tokens before this step without waiting
  /// for the kernel before it: a step's first kernel must be launched without programmatic
  /// dependence (as embed() is), or other steps could still write them.
  bool dependent = true;
};

std::size_t attention_decode_scratch(std::int64_t rows, std::int64_t heads, std::int64_t head_dim);
/// Bytes of a multiprocessor's shared memory that a block takes: a GPU must offer so many to one.
std::size_t attention_decode_shared(const kv::KvLayout& layout);

/// Arithmetic: over fp16, bf16 and int8 queries and weights are rounded to 16 bits (f16 over int8,
/// bf16 over bf16), sums in f32; over f32 all is f32. A row's result depends on its own sequence
/// alone, neither on the launch nor on max_length or other rows. InternalError on what the members
/// above do not allow.
void attention_decode(const DeviceDecodeArgs& args, cudaStream_t stream);

}  // namespace plimsoll::kernels
