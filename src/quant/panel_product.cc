#include "quant/panel_product.h"

#include <algorithm>
#include <cstring>

#include "core/threads.h"

namespace plimsoll::quant {

namespace {

// A vector as wide as every x86-64 has; the compiler's own type, so that there is no intrinsic per
// T.
template <class T>
struct Lanes {
  static constexpr int kCount = 16 / sizeof(T);
  typedef T Vector __attribute__((vector_size(16)));
};

// Rows and vectors of the register tile: 4 x 2 sums, 2 of B and 1 of A fit 16 registers.
constexpr int kTileRows = 4;
constexpr int kTileVectors = 2;
template <class T>
constexpr int kTileColumns = kTileVectors* Lanes<T>::kCount;

// Products summed before they are added to C: A's and B's strips stay in cache.
constexpr std::int64_t kDepth = 128;

template <class T>
void full_tile(std::int64_t k, T alpha, const T* a, std::int64_t lda, const T* b, std::int64_t ldb,
               T* c, std::int64_t ldc) {
  using Vector = typename Lanes<T>::Vector;
  constexpr int kLanes = Lanes<T>::kCount;
  Vector sums[kTileRows][kTileVectors] = {};
  for (std::int64_t p = 0; p < k; ++p) {
    Vector right[kTileVectors];
    std::memcpy(right, b + p * ldb, sizeof right);
    for (int i = 0; i < kTileRows; ++i) {
      const T left = a[p * lda + i];
      for (int v = 0; v < kTileVectors; ++v) sums[i][v] += left * right[v];
    }
  }
  for (int i = 0; i < kTileRows; ++i) {
    for (int j = 0; j < kTileColumns<T>; ++j) {
      c[i * ldc + j] += alpha * sums[i][j / kLanes][j % kLanes];
    }
  }
}

template <class T>
void edge_tile(std::int64_t m, std::int64_t n, std::int64_t k, T alpha, const T* a,
               std::int64_t lda, const T* b, std::int64_t ldb, T* c, std::int64_t ldc) {
  for (std::int64_t i = 0; i < m; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      T sum = 0;
      for (std::int64_t p = 0; p < k; ++p) sum += a[p * lda + i] * b[p * ldb + j];
      c[i * ldc + j] += alpha * sum;
    }
  }
}

}  // namespace

template <class T>
void add_product(std::int64_t m, std::int64_t n, std::int64_t k, T alpha, const T* a,
                 std::int64_t lda, const T* b, std::int64_t ldb, T* c, std::int64_t ldc) {
  constexpr std::int64_t kColumns = kTileColumns<T>;
  for (std::int64_t p = 0; p < k; p += kDepth) {
    const std::int64_t depth = std::min(kDepth, k - p);
    for (std::int64_t j = 0; j < n; j += kColumns) {
      const std::int64_t width = std::min(kColumns, n - j);
      for (std::int64_t i = 0; i < m; i += kTileRows) {
        const std::int64_t height = std::min<std::int64_t>(kTileRows, m - i);
        const T* left = a + p * lda + i;
        const T* right = b + p * ldb + j;
        T* out = c + i * ldc + j;
        if (height == kTileRows && width == kColumns) {
          full_tile(depth, alpha, left, lda, right, ldb, out, ldc);
        } else {
          edge_tile(height, width, depth, alpha, left, lda, right, ldb, out, ldc);
        }
      }
    }
  }
}

void for_triangle_strips(std::int64_t strips, const std::function<void(std::int64_t)>& body) {
  parallel_for((strips + 1) / 2, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t strip = begin; strip < end; ++strip) {
      body(strip);
      if (strips - 1 - strip != strip) body(strips - 1 - strip);
    }
  });
}

template void add_product(std::int64_t, std::int64_t, std::int64_t, float, const float*,
                          std::int64_t, const float*, std::int64_t, float*, std::int64_t);
template void add_product(std::int64_t, std::int64_t, std::int64_t, double, const double*,
                          std::int64_t, const double*, std::int64_t, double*, std::int64_t);

}  // namespace plimsoll::quant
