// y = x W^T for weights stored as fp32, fp16 or bf16.
//
// Few rows (decode): our own kernels, which read each weight once and widen it in registers; bound
// by memory. Many rows (prefill): oneDNN, as is for fp32, by widened panels for 16-bit weights, and
// with the CPU's bf16 dot product for bf16 weights when Compute::fast allows.
#pragma once

#include <span>

#include "core/variant.h"
#include "kernels/linear_args.h"

namespace plimsoll::kernels {

/// Rows from which oneDNN is faster than reading the weights once for each few rows.
inline constexpr std::int64_t kDenseLibraryRows = 9;

/// Best first; the scalar oracle, with double accumulators, last.
std::span<const KernelVariant<LinearArgs>> gemm_dense_variants();

void gemm_dense_ref(const LinearArgs& args);
/// oneDNN sgemm; 16-bit weights are widened a panel at a time.
void gemm_dense_onednn(const LinearArgs& args);
/// oneDNN bf16 x bf16 -> f32: x is rounded to bf16, products are exact, sums are fp32.
void gemm_bf16_onednn(const LinearArgs& args);

}  // namespace plimsoll::kernels
