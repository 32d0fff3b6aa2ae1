#include "kernels/gemm_fp8/gemm_fp8.h"

#include <algorithm>
#include <array>

#include "core/threads.h"
#include "kernels/gemm_fp8/gemm_fp8_isa.h"
#include "kernels/gemm_fp8/gemm_fp8_ref.h"
#include "kernels/tile_fma/tile_product.h"

namespace plimsoll::kernels {

namespace {

struct Fp8Kernels {
  PackedActivations (*pack)(const LinearArgs&);
  Fp8Product product;
  Fp8Decode decode;
  TileFma tile_fma;
};

Fp8Rows rows_of(const quant::Matrix& w, std::int64_t begin, std::int64_t end) {
  const auto* codes = reinterpret_cast<const std::uint8_t*>(w.codes.data<fp8_e4m3>());
  return {codes + begin * w.columns, w.scales.data<float>() + begin, w.columns, end - begin};
}

// The order is drawn in gemm_fp8_isa.h. kGroup, the columns packed together, is a template argument
// to make shifts of the divisions: they would take a tenth of a one-row product.
template <std::int64_t kGroup>
PackedActivations pack(const LinearArgs& args) {
  constexpr std::int64_t kLanes = kGroup / 4;
  const std::int64_t columns = args.weight->columns;
  PackedActivations packed = make_packed(args.rows, columns, kGroup);
  parallel_for(args.rows, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const float* x = args.x + r * columns;
      float* out = packed.values.data<float>() + r * packed.stride;
      for (std::int64_t k = 0; k < columns; ++k) {
        const std::int64_t within = k % kGroup;
        const std::int64_t half = within / (2 * kLanes);
        const std::int64_t lane = within / 2 % kLanes;
        out[k - within + (within % 2 * 2 + half) * kLanes + lane] = x[k];
      }
    }
  });
  return packed;
}

void run(const Fp8Kernels& kernels, const LinearArgs& args) {
  const quant::Matrix& w = *args.weight;
  PLIMSOLL_CHECK(w.codes.size() == w.rows * w.columns && w.scales.size() == w.rows);
  const PackedActivations x = kernels.pack(args);
  // Tiles round each scaled weight, the product of few rows scales its sum: one of them for all
  // rows under Numerics::invariant.
  if (args.rows > kFp8Rows && args.numerics == Numerics::fast) {
    multiply_tiles(
        x, args.rows, w.rows,
        [&](std::int64_t begin, std::int64_t end, std::int64_t depth_begin, std::int64_t depth_end,
            float* tile, std::int64_t tile_stride) {
          kernels.decode(rows_of(w, begin, end), depth_begin, depth_end, tile, tile_stride);
        },
        kernels.tile_fma, args.y);
    return;
  }
  parallel_for(w.rows, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = 0; r < args.rows; r += kFp8Rows) {
      kernels.product(rows_of(w, begin, end), x.row(r), x.stride,
                      std::min<std::int64_t>(kFp8Rows, args.rows - r), args.y + r * w.rows + begin,
                      w.rows);
    }
  });
}

constexpr Fp8Kernels kAvx2{pack<32>, fp8_product_avx2, fp8_decode_avx2, tile_fma_avx2};
constexpr Fp8Kernels kAvx512{pack<64>, fp8_product_avx512, fp8_decode_avx512, tile_fma_avx512};

const std::array<KernelVariant<LinearArgs>, 3> kVariants{{
    {"gemm_fp8_avx512", Isa::avx512, nullptr, [](const LinearArgs& args) { run(kAvx512, args); }},
    {"gemm_fp8_avx2", Isa::avx2, nullptr, [](const LinearArgs& args) { run(kAvx2, args); }},
    {"gemm_fp8_scalar", Isa::scalar, nullptr, gemm_fp8_scalar},
}};

}  // namespace

std::span<const KernelVariant<LinearArgs>> gemm_fp8_variants() {
  return kVariants;
}

}  // namespace plimsoll::kernels
