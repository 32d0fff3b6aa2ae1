// The dense library, in one place.
#pragma once

#include <cstdint>
#include <string>

namespace plimsoll::kernels {

/// Of the library that is linked: "2.6.0, OpenMP".
std::string onednn_version();

/// C[m, n] = alpha * A[m, k] op(B), row-major with leading dimensions; B is [n, k] when
/// `b_transposed`, else [k, n]. fp32 throughout. Runs on the team, or on the calling thread inside
/// a parallel region.
void sgemm(bool b_transposed, std::int64_t m, std::int64_t n, std::int64_t k, float alpha,
           const float* a, std::int64_t lda, const float* b, std::int64_t ldb, float* c,
           std::int64_t ldc);

/// C[m, n] = alpha * op(A) op(B) + beta * C, row-major fp32 with leading dimensions. A is [k, m]
/// when `a_transposed`, else [m, k]; B is [n, k] when `b_transposed`, else [k, n]. C is not read
/// when beta is 0. Runs on the team, or on the calling thread inside a parallel region.
struct GemmArgs {
  bool a_transposed = false;
  bool b_transposed = false;
  std::int64_t m = 0, n = 0, k = 0;
  float alpha = 1;
  const float* a = nullptr;
  std::int64_t lda = 0;
  const float* b = nullptr;
  std::int64_t ldb = 0;
  float beta = 0;
  float* c = nullptr;
  std::int64_t ldc = 0;
};
void sgemm(const GemmArgs& args);

/// C[m, n] (f32) = A[m, k] (bf16) B^T, B [n, k] (bf16), contiguous.
void gemm_bf16(std::int64_t m, std::int64_t n, std::int64_t k, const void* a, const void* b,
               float* c);

}  // namespace plimsoll::kernels
