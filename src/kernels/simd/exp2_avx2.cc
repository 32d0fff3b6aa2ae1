#include "kernels/simd/exp2_isa.h"
#include "kernels/simd/simd_avx2.h"

namespace plimsoll::kernels {

void exp2_avx2(const float* x, std::int64_t count, float* y) {
  for (std::int64_t i = 0; i < count; i += Avx2::kLanes) {
    Avx2::store(y + i, Avx2::exp2(Avx2::load(x + i)));
  }
}

}  // namespace plimsoll::kernels
