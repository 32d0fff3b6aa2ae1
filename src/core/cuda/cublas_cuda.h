// Dense products by NVIDIA's cuBLASLt, opened at run time: the build needs its headers only, and a
// machine without the library runs all else.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace plimsoll::cuda {

enum class Element : std::uint8_t { f16, bf16, f32 };
constexpr int element_bytes(Element element) {
  return element == Element::f32 ? 4 : 2;
}

/// y = x w^T (+ y), row-major, device pointers, 16-byte aligned; sums in fp32. Products of f32 are
/// in full precision. gemm() is the general product.
struct MatmulArgs {
  Element element = Element::f16;  // of x and w
  const void* x = nullptr;         // [m, k]
  const void* w = nullptr;         // [n, k]
  float* y = nullptr;              // [m, n], a row y_stride after the one before
  std::int64_t m = 0;
  std::int64_t n = 0;
  std::int64_t k = 0;
  std::int64_t y_stride = 0;  // 0: n
  bool add = false;           // y += instead of y =
  /// Products of the same shape in one: each one's x, w and y lie so many elements behind those of
  /// the one before (0: the same).
  std::int64_t count = 1;
  std::int64_t x_step = 0;
  std::int64_t w_step = 0;
  std::int64_t y_step = 0;
  /// kMatmulWorkspace bytes of device memory, 256-byte aligned.
  void* workspace = nullptr;
};
inline constexpr std::size_t kMatmulWorkspace = std::size_t{32} << 20;

/// Enqueues the product. The algorithm is chosen once for each shape and kept. InputError naming
/// the library where it cannot be opened. Can be captured in a graph once its shape has been seen.
void matmul(const MatmulArgs& args, cudaStream_t stream);

/// c = alpha * op(a) op(b) + beta * c, row-major with leading dimensions (elements from one row to
/// the next), device pointers; sums in fp32. a is [k, m] when `a_transposed`, else [m, k]; b is
/// [n, k] when `b_transposed`, else [k, n]. c is not read when beta is 0. Any alignment that the
/// elements have; 16 bytes of pointers and rows are the fastest.
struct GemmArgs {
  Element element = Element::f32;  // of a and b
  /// Products of f32 on the tensor cores: operands are rounded to TF32's 11 significant bits.
  bool tf32 = false;
  bool a_transposed = false;
  bool b_transposed = false;
  std::int64_t m = 0;
  std::int64_t n = 0;
  std::int64_t k = 0;
  float alpha = 1;
  const void* a = nullptr;
  std::int64_t lda = 0;
  const void* b = nullptr;
  std::int64_t ldb = 0;
  float beta = 0;
  float* c = nullptr;
  std::int64_t ldc = 0;
  /// Products of the same shape in one, as of MatmulArgs.
  std::int64_t count = 1;
  std::int64_t a_step = 0;
  std::int64_t b_step = 0;
  std::int64_t c_step = 0;
  void* workspace = nullptr;  // as of MatmulArgs
};

/// Enqueues the product, as matmul() does.
void gemm(const GemmArgs& args, cudaStream_t stream);

/// TFLOP/s of f16 products of random values at size^3, the median of `repeats`: a ceiling that
/// prefill is held against.
double cublas_rate(std::int64_t size = 8192, int repeats = 9);

}  // namespace plimsoll::cuda
