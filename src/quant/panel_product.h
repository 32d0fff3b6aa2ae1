// The one matrix product of the GPTQ solver. Internal to quant.
#pragma once

#include <cstdint>
#include <functional>

namespace plimsoll::quant {

/// C[m, n] += alpha * A^T B, with A[k, m] and B[k, n]: both run along k, row-major with leading
/// dimensions lda, ldb, ldc. T is float or double. On the calling thread; C must not overlap A or
/// B. Every element is summed in the same order whatever part of C a call covers, so that splitting
/// C among threads changes no bit.
template <class T>
void add_product(std::int64_t m, std::int64_t n, std::int64_t k, T alpha, const T* a,
                 std::int64_t lda, const T* b, std::int64_t ldb, T* c, std::int64_t ldc);

/// body(strip) for 0 <= strip < strips, in parallel. The strips of a triangle grow or shrink
/// evenly: each thread gets the k-th from the front together with the k-th from the back, so that
/// all work as long.
void for_triangle_strips(std::int64_t strips, const std::function<void(std::int64_t)>& body);

}  // namespace plimsoll::quant
