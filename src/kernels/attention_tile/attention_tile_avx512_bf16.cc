#include "kernels/attention_tile/attention_tile_impl.h"
#include "kernels/simd/simd_avx512.h"

namespace plimsoll::kernels {

namespace {

struct V : Avx512 {
  static constexpr int kRows = 8;  // 16 accumulators, 2 columns and a broadcast in 32 registers
};

/// 16 floats as bf16, rounded to nearest even.
void store_bf16(void* p, __m512 x) {
  _mm256_storeu_si256(static_cast<__m256i*>(p), reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x)));
}

/// A is two bf16, of neighbouring elements of q or weights of neighbouring tokens. The products of
/// both are added to the accumulator in fp32; vdpbf16ps takes subnormal numbers for zero.
struct Bf16Dot {
  using A = std::uint32_t;
  using Operand = __m512bh;
  static constexpr bool kScaled = false;
  static constexpr int kPair = 2, kProducts = 1, kBytes = 2;
  static Operand broadcast(A a) {
    return reinterpret_cast<__m512bh>(_mm512_set1_epi32(static_cast<int>(a)));
  }
  static void load(const std::byte* p, Operand (&b)[1]) {
    b[0] = reinterpret_cast<__m512bh>(_mm512_loadu_si512(p));
  }
  static __m512 fma(Operand a, Operand b, __m512 c) { return _mm512_dpbf16_ps(c, a, b); }
  static void store_weights(A* row, std::int64_t column, __m512 x) {
    store_bf16(row + column / 2, x);
  }
};

void pack_bf16(const float* q, std::int64_t head_dim, std::int64_t padded_dim, float scale,
               std::byte* target) {
  for (std::int64_t d = 0; d < padded_dim; d += V::kLanes) {
    store_bf16(target + d * 2, V::mul(V::load_some(q + d, head_dim - d), V::set1(scale)));
  }
}

}  // namespace

const AttentionTileKernels kAttentionTileAvx512Bf16{
    pack_bf16, nullptr, run_part<V, Bf16Dot>, nullptr, nullptr, merge<V>, finish<V>};

}  // namespace plimsoll::kernels
