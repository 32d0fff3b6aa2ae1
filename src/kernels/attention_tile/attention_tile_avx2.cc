#include "kernels/attention_tile/attention_tile_impl.h"
#include "kernels/simd/simd_avx2.h"

namespace plimsoll::kernels {

namespace {

struct V : Avx2 {
  static constexpr int kRows = 4;  // 8 accumulators, 2 columns and a broadcast in 16 registers
};

}  // namespace

const AttentionTileKernels kAttentionTileAvx2{pack_f32<V>,
                                              run_part<V, F32<V>>,
                                              run_part<V, Bf16<V>>,
                                              run_part<V, Fp16<V>>,
                                              run_part<V, Int8<V>>,
                                              merge<V>,
                                              finish<V>};

}  // namespace plimsoll::kernels
