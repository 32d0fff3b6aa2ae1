#include "quant/cholesky.h"

#include <cmath>
#include <cstring>
#include <vector>

#include "core/rng.h"
#include "core/threads.h"
#include "quant/panel_product.h"
#include "support/support.h"

namespace plimsoll::quant {
namespace {

// G G^T / n + identity / 10: positive definite, condition number of some dozens.
Tensor positive_definite(std::int64_t n, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<double> g(static_cast<std::size_t>(n * n));
  for (double& value : g) value = rng.normal();
  Tensor matrix = Tensor::zeros(DType::f64, {n, n});
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      double sum = i == j ? 0.1 * static_cast<double>(n) : 0;
      for (std::int64_t k = 0; k < n; ++k) sum += g[i * n + k] * g[j * n + k];
      matrix.data<double>()[i * n + j] = sum / static_cast<double>(n);
    }
  }
  return matrix;
}

// Sizes around the block of 64: one, a part of one, whole ones, and one more column.
class Cholesky : public testing::TestWithParam<std::int64_t> {};
INSTANTIATE_TEST_SUITE_P(Sizes, Cholesky, testing::Values(1, 7, 64, 65, 128, 200));

TEST_P(Cholesky, FactorTimesItselfIsTheMatrix) {
  const std::int64_t n = GetParam();
  const Tensor matrix = positive_definite(n, 1);
  Tensor factor = matrix.clone();
  ASSERT_TRUE(factor_upper(factor));
  const double* u = factor.data<double>();
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = i; j < n; ++j) {
      double sum = 0;
      for (std::int64_t k = 0; k <= i; ++k) sum += u[k * n + i] * u[k * n + j];
      // Backward error of Cholesky: n units of the diagonal, here about 1.
      ASSERT_NEAR(sum, matrix.data<double>()[i * n + j], 1e-15 * static_cast<double>(n) + 1e-15);
    }
  }
}

TEST_P(Cholesky, InverseTimesFactorIsTheIdentity) {
  const std::int64_t n = GetParam();
  Tensor factor = positive_definite(n, 2);
  ASSERT_TRUE(factor_upper(factor));
  const Tensor inverse = invert_upper(factor);
  const double* u = factor.data<double>();
  const double* v = inverse.data<double>();
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      if (j < i) {
        ASSERT_EQ(v[i * n + j], 0);
        continue;
      }
      double sum = 0;
      for (std::int64_t k = i; k <= j; ++k) sum += u[i * n + k] * v[k * n + j];
      ASSERT_NEAR(sum, i == j ? 1 : 0, 1e-13 * static_cast<double>(n)) << i << " " << j;
    }
  }
}

TEST(CholeskyFactor, RefusesWhatIsNotPositiveDefinite) {
  for (const std::int64_t bad : {0, 100, 129}) {  // in the first, a middle and the last block
    Tensor matrix = positive_definite(130, 3);
    matrix.data<double>()[bad * 131] = -1;
    EXPECT_FALSE(factor_upper(matrix));
  }
  Tensor nan = positive_definite(8, 4);
  nan.data<double>()[3] = NAN;
  EXPECT_FALSE(factor_upper(nan));
}

TEST(CholeskyFactor, DoesNotDependOnTheThreads) {
  Tensor alone = positive_definite(300, 5);
  Tensor together = alone.clone();
  const int team = threads();
  set_threads(1);
  ASSERT_TRUE(factor_upper(alone));
  const Tensor inverse_alone = invert_upper(alone);
  set_threads(3);
  ASSERT_TRUE(factor_upper(together));
  const Tensor inverse_together = invert_upper(together);
  set_threads(team);
  for (std::int64_t i = 0; i < 300; ++i) {
    EXPECT_EQ(std::memcmp(alone.data<double>() + i * 301, together.data<double>() + i * 301,
                          static_cast<std::size_t>(300 - i) * sizeof(double)),
              0);
  }
  EXPECT_EQ(std::memcmp(inverse_alone.raw(), inverse_together.raw(), inverse_alone.bytes()), 0);
}

template <class T>
void check_product(std::int64_t m, std::int64_t n, std::int64_t k) {
  Rng rng(6);
  // Leading dimensions larger than the matrices, and a border of C that must stay as it is.
  const std::int64_t lda = m + 3;
  const std::int64_t ldb = n + 2;
  const std::int64_t ldc = n + 5;
  std::vector<T> a(static_cast<std::size_t>(k * lda));
  std::vector<T> b(static_cast<std::size_t>(k * ldb));
  std::vector<T> c(static_cast<std::size_t>((m + 1) * ldc));
  for (T& value : a) value = static_cast<T>(static_cast<int>(rng.below(15)) - 7);
  for (T& value : b) value = static_cast<T>(static_cast<int>(rng.below(15)) - 7);
  for (T& value : c) value = static_cast<T>(static_cast<int>(rng.below(15)) - 7);
  std::vector<T> expected = c;
  for (std::int64_t i = 0; i < m; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      for (std::int64_t p = 0; p < k; ++p) {
        expected[i * ldc + j] += T{2} * a[p * lda + i] * b[p * ldb + j];
      }
    }
  }
  add_product<T>(m, n, k, T{2}, a.data(), lda, b.data(), ldb, c.data(), ldc);
  EXPECT_EQ(c, expected) << m << " x " << n << " x " << k;  // small integers: exact
}

TEST(PanelProduct, IsTheProduct) {
  for (const std::int64_t m : {1, 4, 13}) {
    for (const std::int64_t n : {1, 8, 19}) {
      for (const std::int64_t k : {1, 128, 300}) {
        check_product<float>(m, n, k);
        check_product<double>(m, n, k);
      }
    }
  }
}

}  // namespace
}  // namespace plimsoll::quant
