#include "kernels/simd/simd_avx2.h"
#include "kernels/tile_fma/tile_fma_impl.h"

namespace plimsoll::kernels {

// 3 x 4 accumulators leave 4 of the 16 registers for operands; 12 FMAs a step against 7 loads match
// the two FMA and two load ports.
void tile_fma_avx2(const TileFmaArgs& args) {
  tile_fma<Avx2, 3, 4>(args);
}

}  // namespace plimsoll::kernels
