// A linear layer on a GPU for any number of rows: gemv's kernels where they are fast, otherwise
// weights decoded into a workspace and cuBLASLt.
#pragma once

#include "core/variant.h"
#include "kernels/gemv/gemv_cuda.h"

namespace plimsoll::kernels::product {

/// As gemv::run() with any number of rows; args.scratch has workspace_bytes(). The arithmetic of
/// many rows: weights decoded and activations rounded to bf16 where bf16 was quantised, f32 for
/// fp32 weights, f16 otherwise; int8's activations are not quantised then. Whether a product has
/// few or many rows is told by args.rows alone.
void run(const gemv::Args& args, cudaStream_t stream);

/// Bytes of device memory for products of up to `rows` rows.
std::size_t workspace_bytes(const gemv::DeviceWeights& weights, std::int64_t rows);
/// Before there are weights: of a product of `rows` rows with 16-bit weights [out, columns], two
/// matrices as one for SwiGLU where `paired`. 0 where rows are few: what gemv takes is little.
std::size_t workspace_bytes(std::int64_t out, std::int64_t columns, bool paired, std::int64_t rows);

/// Rows from which on weights are decoded: at 64 rows of Mistral-7B on an H200 that takes as long
/// as four passes of gemv's 16 rows or longer.
inline constexpr int kManyRows = gemv::kMaxRows + 1;

}  // namespace plimsoll::kernels::product
