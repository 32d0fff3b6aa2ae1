#include "kernels/simd/simd_avx512.h"
#include "kernels/tile_fma/tile_fma_impl.h"

namespace plimsoll::kernels {

// 4 x 6 accumulators and one register for each of the ten operands fill the 32 registers; 24 FMAs a
// step against 10 loads keep the FMA pipe, not the load ports, the limit.
void tile_fma_avx512(const TileFmaArgs& args) {
  tile_fma<Avx512, 4, 6>(args);
}

}  // namespace plimsoll::kernels
