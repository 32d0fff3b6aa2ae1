// RoPE (see rope.h) and the writing of a step's keys and values into the paged cache, on a GPU.
// nvcc reads this header.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kv/device_kv_cuda.h"

namespace plimsoll::kernels {

/// All pointers are the device's. Row r's queries, keys and values begin at q + r * stride, k + r *
/// stride, v + r * stride: parts of one product's rows.
struct DeviceAppendArgs {
  float* q = nullptr;        // [rows][heads, head_dim], rotated in place; nullptr: not touched
  const float* k = nullptr;  // [rows][kv_heads, head_dim], written to the cache, rotated
  const float* v = nullptr;
  std::int64_t stride = 0;
  std::int64_t rows = 0;
  std::int64_t heads = 0;
  const float* frequencies = nullptr;  // [head_dim / 2]; nullptr: no rotation
  kv::DeviceKv kv;                     // positions and tables of the rows
  bool dependent = true;
};

/// The cosine and sine of position * frequency are within 2^-23 of the true ones; keys and values
/// are rounded as kv::write_tokens() rounds them.
void append_kv(const DeviceAppendArgs& args, cudaStream_t stream);

}  // namespace plimsoll::kernels
