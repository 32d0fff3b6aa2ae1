#include "kernels/activation/activation_impl.h"
#include "kernels/simd/simd_avx2.h"

namespace plimsoll::kernels {

void swiglu_avx2(const float* gate, const float* up, std::int64_t count, float* y) {
  swiglu_of_all<Avx2>(gate, up, count, y);
}

}  // namespace plimsoll::kernels
