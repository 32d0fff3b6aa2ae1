#include "kernels/attention_eager/attention_eager_impl.h"
#include "kernels/simd/simd_avx2.h"

namespace plimsoll::kernels {

void masked_softmax_avx2(float* scores, std::int64_t count, std::int64_t begin, std::int64_t end,
                         float scale) {
  softmax<Avx2>(scores, count, begin, end, scale);
}

}  // namespace plimsoll::kernels
