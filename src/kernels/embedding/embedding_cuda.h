// Rows of an embedding table, on a GPU. nvcc reads this header.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "core/dtype.h"

namespace plimsoll::kernels {

/// y[r] = table[ids[r]] (+ position_table[positions[r]], as GPT-2 has it), in f32. All pointers are
/// the device's, 16-byte aligned. A row whose id or position lies outside its table becomes NaN: a
/// step that choose_token() ended with an error is harmless.
struct DeviceEmbeddingArgs {
  const std::int32_t* ids = nullptr;  // [rows]
  std::int64_t rows = 0;
  const void* table = nullptr;  // [vocabulary, width], or, where `packed`, as gemv_layout.h has it:
  bool packed = false;          // a tied head's weights, of gemv::Pairing::none
  std::int64_t vocabulary = 0;
  const std::int32_t* positions = nullptr;  // [rows]; nullptr: no position table
  const void* position_table = nullptr;     // [position_count, width], of the same dtype
  std::int64_t position_count = 0;
  std::int64_t width = 0;
  DType dtype = DType::f32;  // of the tables: f32, f16 or bf16
  float* y = nullptr;        // [rows, width]
  /// The first kernel of a step: false, so that all that a step before it wrote (ids, positions,
  /// tables, the cache) can be read by every kernel behind it without waiting for its neighbour.
  bool dependent = false;
};

/// InternalError on a dtype that is not as above.
void embed(const DeviceEmbeddingArgs& args, cudaStream_t stream);

}  // namespace plimsoll::kernels
