#include "kernels/simd/exp2_isa.h"
#include "kernels/simd/simd_avx512.h"

namespace plimsoll::kernels {

void exp2_avx512(const float* x, std::int64_t count, float* y) {
  for (std::int64_t i = 0; i < count; i += Avx512::kLanes) {
    Avx512::store(y + i, Avx512::exp2(Avx512::load(x + i)));
  }
}

}  // namespace plimsoll::kernels
