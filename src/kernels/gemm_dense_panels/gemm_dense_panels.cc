#include "kernels/gemm_dense_panels/gemm_dense_panels.h"

#include <array>
#include <cstring>

#include "kernels/gemm_dense_panels/gemm_dense_panels_isa.h"
#include "kernels/panels/row_tiles.h"

namespace plimsoll::kernels {

namespace {

using quant::WeightFormat;

// `words` of x a row; `prepare` writes them.
void multiply(const LinearArgs& args, const DenseTiles& kernels, std::int64_t words,
              const RowTiles::Prepare& prepare) {
  const quant::Matrix& w = *args.weight;
  const std::int64_t steps = panel_steps(w);
  const std::int64_t bytes = panel_bytes(w);
  const float* scales = w.scales.defined() ? w.scales.data<float>() : nullptr;
  const RowTiles x(args.rows, words, {kernels.sizes, static_cast<std::size_t>(kernels.count)},
                   prepare);
  for_each_tile(x, panel_count(w.rows), bytes, [&](std::int64_t panel, const RowTile& tile) {
    const std::int64_t output = panel * kPanelOutputs;
    kernels.tiles[tile.kernel]({w.codes.raw() + panel * bytes, tile.words, steps,
                                scales == nullptr ? nullptr : scales + output,
                                args.y + tile.first * w.rows + output, w.rows, tile.rows,
                                std::min(kPanelOutputs, w.rows - output)});
  });
}

void run_exact(const DensePanelKernels& kernels, const LinearArgs& args) {
  const quant::Matrix& w = *args.weight;
  const DenseTiles& tiles = w.format == WeightFormat::fp32   ? kernels.f32
                            : w.format == WeightFormat::fp16 ? kernels.f16
                            : w.format == WeightFormat::bf16 ? kernels.bf16
                                                             : kernels.f8;
  const std::int64_t words = panel_steps(w) * columns_a_step(w.format);
  multiply(args, tiles, words, [&](std::int64_t row, std::uint32_t* out) {
    std::memcpy(out, args.x + row * w.columns, static_cast<std::size_t>(w.columns) * 4);
    std::fill(out + w.columns, out + words, 0u);
  });
}

void run_bf16(const LinearArgs& args) {
  const quant::Matrix& w = *args.weight;
  const std::int64_t words = panel_steps(w);
  const DenseTiles& tiles =
      w.format == WeightFormat::bf16 ? kBf16PanelsAvx512Bf16.bf16 : kBf16PanelsAvx512Bf16.f8;
  multiply(args, tiles, words, [&](std::int64_t row, std::uint32_t* out) {
    out[words - 1] = 0;  // an odd column leaves half a word
    round_to_bf16_avx512(args.x + row * w.columns, w.columns,
                         reinterpret_cast<std::uint16_t*>(out));
  });
}

Support takes_fast_bf16(const LinearArgs& args) {
  if (args.compute != Compute::fast) return Support::no("rounds activations: --compute fast only");
  const WeightFormat format = args.weight->format;
  if (format == WeightFormat::bf16 || format == WeightFormat::fp8) return Support::yes();
  return Support::no("bf16 and fp8 weights only");
}

const std::array<KernelVariant<LinearArgs>, 3> kVariants{{
    {"gemm_bf16_panels_avx512_bf16", Isa::avx512_bf16, takes_fast_bf16, run_bf16},
    {"gemm_dense_panels_avx512", Isa::avx512, nullptr,
     [](const LinearArgs& args) { run_exact(kDensePanelsAvx512, args); }},
    {"gemm_dense_panels_avx2", Isa::avx2, nullptr,
     [](const LinearArgs& args) { run_exact(kDensePanelsAvx2, args); }},
}};

}  // namespace

std::span<const KernelVariant<LinearArgs>> gemm_dense_panels_variants() {
  return kVariants;
}

}  // namespace plimsoll::kernels
