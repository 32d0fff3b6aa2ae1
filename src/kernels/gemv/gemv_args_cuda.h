// What a product of gemv takes. nvcc reads this header: it includes none that needs fmt.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/gemv/gemv_layout.h"

namespace plimsoll::kernels::gemv {

/// Rows (tokens) of one product.
inline constexpr int kMaxRows = 16;
/// Columns of a matrix: a row of activations lies in shared memory.
inline constexpr int kMaxColumns = 16384;

/// Packed weights on the device, as a kernel takes them.
struct DeviceWeights {
  Format format = Format::f16;
  Order order;
  int tiles = 0;
  int chunks = 0;
  const unsigned char* codes = nullptr;
  const unsigned char* scales = nullptr;
  const float* row_meta = nullptr;
  std::uint32_t low_levels[2] = {};
  std::uint32_t high_levels[2] = {};
  float level_unit = 0;
  const float* nested_table = nullptr;
  float outlier_threshold = 0;
  bool outliers_in_bf16 = false;
};

enum class Epilogue : std::uint8_t {
  store,   // y = product + bias
  add,     // y += product + bias: the residual stream
  swiglu,  // y[p] = silu(gate p) * up p; weights paired by halves, y [rows, order.rows / 2]
};

/// All pointers are the device's, fp32, 16-byte aligned.
struct Args {
  const DeviceWeights* weights = nullptr;
  const float* x = nullptr;  // [rows, columns], contiguous
  int rows = 0;              // 1 to kMaxRows
  /// RMSNorm before the product: x becomes x / sqrt(mean(x^2) + epsilon) * norm[columns].
  const float* norm = nullptr;
  float epsilon = 0;
  const float* bias = nullptr;  // [order.rows], or nullptr
  Epilogue epilogue = Epilogue::store;
  float* y = nullptr;  // [rows, order.rows] unless the epilogue says otherwise; apart from x
  /// Programmatic dependent launch: the kernel starts while the one before it in the stream still
  /// runs, if that one lets it (all of this file do). No result changes.
  bool dependent = true;
};

}  // namespace plimsoll::kernels::gemv
