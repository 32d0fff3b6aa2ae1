// y = x W^T for fp32, fp16, bf16 and fp8 weights in panels (kernels/panels/panels.h).
#pragma once

#include <span>

#include "core/variant.h"
#include "kernels/linear_args.h"

namespace plimsoll::kernels {

/// weight->layout must be panels. exact: weights widened exactly, fused fp32 products and sums.
/// fast, bf16 and fp8 weights: x rounded to bf16, exact products of pairs, fp32 sums (vdpbf16ps),
/// on CPUs that have it. fp8: the row's scale multiplies the finished sum. Every output is one sum
/// over the columns in their order, whatever the number of rows and threads: a row's result never
/// depends on its neighbours, bit for bit. Best first; no scalar variant, since matrices are packed
/// only where a kernel takes them (can_pack). The oracles are gemm_dense's and gemm_fp8's, on the
/// stored matrix.
std::span<const KernelVariant<LinearArgs>> gemm_dense_panels_variants();

}  // namespace plimsoll::kernels
