// A linear layer on a GPU for any number of rows, by whichever kernels are fast for so many.
#pragma once

#include <string>

#include "core/variant.h"
#include "kernels/gemm_packed/gemm_packed_cuda.h"
#include "kernels/gemv/gemv_cuda.h"

namespace plimsoll::kernels::product {

/// gemv's, with 16-bit rows where a product follows a product (not with Route::gemv); its operand
/// is chosen here.
using Args = gemm_packed::Args;

/// What multiplies.
enum class Route : std::uint8_t {
  gemv,     // kernels of few rows (gemv_cuda.h)
  general,  // few rows where these do not do (gemv_general_cuda.h)
  packed,   // packed weights unpacked in registers, warpgroups (gemm_packed_cuda.h)
  decoded   // weights decoded into a workspace, then cuBLASLt
};
/// By the weights, the number of rows, and whether a norm is before. `reason`: why, in words.
struct Choice {
  Route route = Route::gemv;
  gemm_packed::Operand operand = gemm_packed::Operand::f16;  // packed
  std::string reason;
};
/// `norms`: as of gemv::refusal().
Choice choose(const gemv::DeviceWeights& weights, std::int64_t rows, int norms);
/// The choice of few rows, whose results depend on no other row: for up to gemv::kMaxRows.
Choice choose_few(const gemv::DeviceWeights& weights, int norms);
inline int norms_of(const gemv::Args& args) {
  return (args.norm != nullptr) + (args.norm_bias != nullptr);
}

/// As gemv::run() with any number of rows; args.scratch has workspace_bytes(). The arithmetic of
/// many rows: packed as gemm_packed says; decoded: weights and activations rounded to bf16 where
/// bf16 was quantised, f32 for fp32 weights, f16 otherwise. fp8's
/// activations become e4m3 and int8's s8 in packed products alone, and of so many rows as choose()
/// says.
void run(const Args& args, cudaStream_t stream);
/// The same by a route that was not chosen; for tests and benchmarks.
void run_as(const Choice& choice, const Args& args, cudaStream_t stream);

/// Bytes of device memory for products of up to `rows` rows.
std::size_t workspace_bytes(const gemv::DeviceWeights& weights, std::int64_t rows);
std::size_t workspace_bytes(Route route, const gemv::DeviceWeights& weights, std::int64_t rows);
/// Before there are weights: of a product of `rows` rows with 16-bit weights [out, columns]. 0
/// where rows are few: what gemv takes is little.
std::size_t workspace_bytes(std::int64_t out, std::int64_t columns, std::int64_t rows);

/// Rows from which on gemv is never the choice, and 16-bit rows may be handed on.
inline constexpr int kManyRows = gemv::kMaxRows + 1;
/// Rows up to which gemv multiplies weights of 4-bit tables, whose kernel of many rows is the
/// faster one from there on (docs/measuring.md).
inline constexpr int kFewTableRows = 8;
/// Rows from which on weights of 4-bit tables are decoded: on an H200 a prompt of 2,048 tokens of
/// Mistral-7B in nf4-dq goes at 25,337 tokens/s packed and at 32,824 decoded.
inline constexpr int kDecodedTableRows = 257;

}  // namespace plimsoll::kernels::product
