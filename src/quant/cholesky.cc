#include "quant/cholesky.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/threads.h"
#include "quant/panel_product.h"

namespace plimsoll::quant {

namespace {

constexpr std::int64_t kBlock = 64;

// The diagonal block a[0..size)^2 by itself: row by row, each scaled and taken off the rows below.
bool factor_block(double* a, std::int64_t lda, std::int64_t size) {
  for (std::int64_t i = 0; i < size; ++i) {
    const double pivot = a[i * lda + i];
    if (!(pivot > 0) || !std::isfinite(pivot)) return false;
    const double root = std::sqrt(pivot);
    a[i * lda + i] = root;
    for (std::int64_t j = i + 1; j < size; ++j) a[i * lda + j] /= root;
    for (std::int64_t r = i + 1; r < size; ++r) {
      const double factor = a[i * lda + r];
      for (std::int64_t j = r; j < size; ++j) a[r * lda + j] -= factor * a[i * lda + j];
    }
  }
  return true;
}

// X = U^-T X for the columns [begin, end) of the `size` rows at x; u is a diagonal block.
void solve_beside(const double* u, double* x, std::int64_t ld, std::int64_t size,
                  std::int64_t begin, std::int64_t end) {
  for (std::int64_t i = 0; i < size; ++i) {
    for (std::int64_t k = 0; k < i; ++k) {
      const double factor = u[k * ld + i];
      for (std::int64_t j = begin; j < end; ++j) x[i * ld + j] -= factor * x[k * ld + j];
    }
    const double pivot = u[i * ld + i];
    for (std::int64_t j = begin; j < end; ++j) x[i * ld + j] /= pivot;
  }
}

// X = U^-1 X for the columns [begin, end) of the `size` rows at x.
void solve_above(const double* u, double* x, std::int64_t ld, std::int64_t size, std::int64_t begin,
                 std::int64_t end) {
  for (std::int64_t i = size - 1; i >= 0; --i) {
    for (std::int64_t k = i + 1; k < size; ++k) {
      const double factor = u[i * ld + k];
      for (std::int64_t j = begin; j < end; ++j) x[i * ld + j] -= factor * x[k * ld + j];
    }
    const double pivot = u[i * ld + i];
    for (std::int64_t j = begin; j < end; ++j) x[i * ld + j] /= pivot;
  }
}

}  // namespace

bool factor_upper(Tensor& matrix) {
  const std::int64_t n = matrix.dim(0);
  double* a = matrix.data<double>();
  for (std::int64_t k = 0; k < n; k += kBlock) {
    const std::int64_t size = std::min(kBlock, n - k);
    double* diagonal = a + k * n + k;
    if (!factor_block(diagonal, n, size)) return false;
    const std::int64_t rest = n - k - size;
    double* beside = diagonal + size;
    parallel_for(rest, kBlock, [&](std::int64_t begin, std::int64_t end) {
      solve_beside(diagonal, beside, n, size, begin, end);
    });
    // The trailing triangle -= beside^T beside, in strips of rows.
    for_triangle_strips((rest + kBlock - 1) / kBlock, [&](std::int64_t strip) {
      const std::int64_t row = strip * kBlock;
      const std::int64_t height = std::min(kBlock, rest - row);
      add_product<double>(height, rest - row, size, -1.0, beside + row, n, beside + row, n,
                          a + (k + size + row) * (n + 1), n);
    });
  }
  return true;
}

// V = U^-1 by block rows from the last to the first:
//   V(i, j) = -U(i, i)^-1 sum over k > i of U(i, k) V(k, j),   V(i, i) = U(i, i)^-1
Tensor invert_upper(const Tensor& matrix) {
  const std::int64_t n = matrix.dim(0);
  const double* u = matrix.data<double>();
  Tensor inverse = Tensor::zeros(DType::f64, {n, n});
  double* v = inverse.data<double>();
  std::vector<double> panel;  // U(i, k > i) turned, so that it runs along k
  for (std::int64_t i = (n - 1) / kBlock * kBlock; i >= 0; i -= kBlock) {
    const std::int64_t size = std::min(kBlock, n - i);
    const std::int64_t after = i + size;
    const std::int64_t rest = n - after;
    panel.resize(static_cast<std::size_t>(rest * size));
    for (std::int64_t r = 0; r < size; ++r) {
      for (std::int64_t k = 0; k < rest; ++k) panel[k * size + r] = u[(i + r) * n + after + k];
    }
    for (std::int64_t r = 0; r < size; ++r) v[(i + r) * n + i + r] = 1;
    // Strips of columns, counted from i. V(k, j) is 0 for k > j, so that the sum for a strip stops
    // at its last column.
    for_triangle_strips((n - i + kBlock - 1) / kBlock, [&](std::int64_t strip) {
      const std::int64_t begin = strip * kBlock;
      const std::int64_t end = std::min(begin + kBlock, n - i);
      if (strip > 0) {  // strip 0 is the diagonal block
        add_product<double>(size, end - begin, end - size, -1.0, panel.data(), size,
                            v + after * n + i + begin, n, v + i * n + i + begin, n);
      }
      solve_above(u + i * n + i, v + i * n + i, n, size, begin, end);
    });
  }
  return inverse;
}

}  // namespace plimsoll::quant
