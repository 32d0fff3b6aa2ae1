// What becomes of the sums of a product of many rows. nvcc reads this header.
#pragma once

#include "kernels/gemv/gemv_args_cuda.h"

namespace plimsoll::kernels::product {

/// All pointers are the device's.
struct EpilogueArgs {
  gemv::Epilogue epilogue = gemv::Epilogue::store;
  const float* sums = nullptr;  // [rows, width], with swiglu [rows, 2 * width]: gate, then up
  std::int64_t rows = 0;
  std::int64_t width = 0;
  const float* bias = nullptr;  // as `sums` is wide; nullptr: none
  float* y = nullptr;           // [rows, width]; may be `sums` unless the epilogue is swiglu
  void* y16 = nullptr;          // instead of y, in 16 bits,
  bool bf16 = false;            // bf16 or f16
};

/// y = activation(sums + bias); `add` has been done by then. Waits for all before it.
void run_epilogue(const EpilogueArgs& args, cudaStream_t stream);

}  // namespace plimsoll::kernels::product
