// exp2 of the vector headers, for their test.
#pragma once

#include <cstdint>

namespace plimsoll::kernels {

/// y[i] = 2^x[i], count a multiple of 16.
void exp2_avx2(const float* x, std::int64_t count, float* y);
void exp2_avx512(const float* x, std::int64_t count, float* y);

}  // namespace plimsoll::kernels
