// y = x W^T on a GPU for several rows to many: packed weights are read as gemv reads them, unpacked
// in registers and multiplied on the tensor cores by warpgroups (sm_90a).
#pragma once

#include "kernels/gemm_packed/panels_cuda.h"

namespace plimsoll::kernels::gemm_packed {

/// As gemv::Args with any number of rows, and in 16 bits where a product follows a product.
struct Args : gemv::Args {
  const void* x16 = nullptr;  // [rows, columns] instead of x
  void* y16 = nullptr;  // instead of y; not with Epilogue::add. f16: beyond its range its last
  bool bf16 = false;    // x16 and y16 are bf16, not f16
  /// The type that products are of: natural_operand(), or e4m3 of fp8 and s8 of int8.
  Operand operand = Operand::f16;
};

/// bf16 of bf16, f16 of all others.
Operand natural_operand(const gemv::DeviceWeights& weights);

/// Whether there is a kernel: formats, columns in whole blocks, and the GPU. A reason in
/// `why`, a literal, where there is none.
bool supports(const gemv::DeviceWeights& weights, Operand operand, const char** why = nullptr);

/// Bytes of Args::scratch for `rows` rows, 256-byte aligned: enough for any operand.
std::size_t scratch_bytes(const gemv::DeviceWeights& weights, std::int64_t rows);

/// Before there are weights: the same of so many columns.
bool supports(std::int64_t columns);
std::size_t scratch_bytes(std::int64_t columns, std::int64_t rows);

/// Arithmetic: x rounded to the operand's type, 8 bits with a scale for each row (its largest
/// magnitude); sums in fp32, of s8 in s32. s8 of weights with an outlier threshold is LLM.int8()
/// (quant/int8.h): outliers stay in f16, and with them the other values in the same 32 columns of
/// the block's tokens. Weights as they are decoded, 4-bit ones rounded to f16 (levels and
/// scales before they are multiplied).
/// Two kernels: the activations' panels, then the product. Three where outliers are looked for.
void run(const Args& args, cudaStream_t stream);

/// The same with this many tokens a block, and blocks that share a tile of the result; for tests
/// and benchmarks.
void run_as(const Args& args, int tokens, int splits, cudaStream_t stream);

}  // namespace plimsoll::kernels::gemm_packed
