// What a product of gemv takes. nvcc reads this header: it includes none that needs fmt.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/gemv/gemv_layout.h"

namespace plimsoll::kernels::gemv {

/// Rows (tokens) of one product; product_cuda.h takes any number.
inline constexpr int kMaxRows = 64;
/// Of them the kernels take so many at a time: more read the weights again.
inline constexpr int kRowsTogether = 16;
/// Columns of a matrix: a row of activations lies in shared memory.
inline constexpr int kMaxColumns = 16384;

/// Packed weights on the device, as a kernel takes them.
struct DeviceWeights {
  Format format = Format::f16;
  Order order;
  int columns = 0;  // of the stored matrix and of x; padded to `chunks` whole chunks
  int tiles = 0;
  int chunks = 0;
  const unsigned char* codes = nullptr;
  const unsigned char* scales = nullptr;
  const float* row_meta = nullptr;
  std::uint32_t low_levels[2] = {};
  std::uint32_t high_levels[2] = {};
  float level_unit = 0;
  const float* nested_table = nullptr;
  const float* levels = nullptr;  // [16] of a 4-bit table, unrounded
  const std::int32_t* gather =
      nullptr;                  // stored column of each packed one, -1: none; nullptr: same
  float outlier_threshold = 0;  // int8; 0: activations are integers of 8 bits, all of them
  float input_scale = 0;        // int8_static
  std::int32_t input_zero = 0;
  bool source_bf16 = false;  // what was quantised was bf16: so are decoded weights
};

enum class Epilogue : std::uint8_t {
  store,      // y = product + bias
  add,        // y += product + bias: the residual stream
  swiglu,     // y[p] = silu(gate p) * up p; weights paired by halves, y [rows, order.rows / 2]
  gelu_tanh,  // y = gelu(product + bias), by tanh (GPT-2's gelu_new) or exact
  gelu_erf,
};

/// All pointers are the device's, fp32, 16-byte aligned.
struct Args {
  const DeviceWeights* weights = nullptr;
  const float* x = nullptr;  // [rows, columns], contiguous
  int rows = 0;              // 1 to kMaxRows
  /// RMSNorm before the product: x becomes x / sqrt(mean(x^2) + epsilon) * norm[columns].
  const float* norm = nullptr;
  /// With it LayerNorm instead: (x - mean) / sqrt(variance + epsilon) * norm + norm_bias[columns].
  const float* norm_bias = nullptr;
  float epsilon = 0;
  const float* bias = nullptr;  // [order.rows], or nullptr
  Epilogue epilogue = Epilogue::store;
  float* y = nullptr;  // [rows, order.rows] unless the epilogue says otherwise; apart from x
  /// scratch_bytes() of device memory, 16-byte aligned, that no other product of the stream's
  /// neighbours needs at the same time: one for all products of a stream is right.
  void* scratch = nullptr;
  /// Programmatic dependent launch: the kernel starts while the one before it in the stream still
  /// runs, if that one lets it (all of this file do). No result changes.
  bool dependent = true;
};

}  // namespace plimsoll::kernels::gemv
