#include "kernels/attention_tile/attention_tile_impl.h"
#include "kernels/simd/simd_avx512.h"

namespace plimsoll::kernels {

namespace {

struct V : Avx512 {
  static constexpr int kRows = 8;  // 16 accumulators, 2 columns and a broadcast in 32 registers
};

}  // namespace

const AttentionTileKernels kAttentionTileAvx512{pack_f32<V>,
                                                run_part<V, F32<V>>,
                                                run_part<V, Bf16<V>>,
                                                run_part<V, Fp16<V>>,
                                                run_part<V, Int8<V>>,
                                                merge<V>,
                                                finish<V>};

}  // namespace plimsoll::kernels
