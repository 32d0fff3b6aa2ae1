#include "kernels/gemm_int4/gemm_int4.h"

#include <algorithm>
#include <array>
#include <vector>

#include "core/threads.h"
#include "kernels/gemm_int4/gemm_int4_isa.h"
#include "kernels/gemm_int4/gemm_int4_ref.h"

namespace plimsoll::kernels {

namespace {

// Outputs of a panel at most. One row: long pieces of memory, and three rows of buffers in L1.
// More: the panel's weights are read again for every eight rows, so they have to fit an L2; and so
// have the scales and zeros of all groups when columns jump between them.
constexpr std::int64_t kStreamPanel = 4096;
constexpr std::int64_t kCachedPanel = 128;
constexpr std::int64_t kPanelGrain = 16;

void check(const quant::Matrix& w) {
  PLIMSOLL_CHECK(w.rows % 8 == 0 && w.columns % 8 == 0);
  const std::int64_t groups = w.scales.dim(0);
  PLIMSOLL_CHECK(w.codes.size() == w.columns / 8 * w.rows && w.scales.size() == groups * w.rows &&
                 w.zeros.size() == groups * (w.rows / 8) && w.group_index.size() == w.columns);
  std::uint32_t most = 0;
  for (const std::int32_t group : w.group_index.span<std::int32_t>()) {
    most = std::max(most, static_cast<std::uint32_t>(group));  // negative ones are the largest
  }
  PLIMSOLL_CHECK(most < groups, "a column of group {}, {} groups", static_cast<std::int32_t>(most),
                 groups);
}

bool words_have_one_group(const quant::Matrix& w) {
  const std::int32_t* index = w.group_index.data<std::int32_t>();
  std::int32_t differences = 0;
  for (std::int64_t c = 0; c < w.columns; ++c) differences |= index[c] ^ index[c / 8 * 8];
  return differences == 0;
}

std::vector<float> sum_words(const LinearArgs& args) {
  std::vector<float> sums(static_cast<std::size_t>(args.rows * args.weight->columns / 8));
  for (std::size_t i = 0; i < sums.size(); ++i) {
    const float* x = args.x + 8 * i;
    sums[i] = ((x[0] + x[1]) + (x[2] + x[3])) + ((x[4] + x[5]) + (x[6] + x[7]));
  }
  return sums;
}

Int4Panel panel_of(const quant::Matrix& w, std::int64_t begin, std::int64_t end) {
  return {w.codes.data<std::int32_t>() + begin,
          reinterpret_cast<const std::uint16_t*>(w.scales.data<fp16>()) + begin,
          w.zeros.data<std::int32_t>() + begin / 8,
          w.rows,
          end - begin,
          w.columns / 8,
          w.group_index.data<std::int32_t>()};
}

// sums = the panel's product, group by group.
void add_groups(const Int4Kernels& kernels, const Int4Panel& panel, const Int4Buffers& buffers,
                const Int4Activations& x) {
  for (std::int64_t word = 0; word < panel.words;) {
    const std::int32_t group = panel.group_index[8 * word];
    std::int64_t end = word + 1;
    while (end < panel.words && panel.group_index[8 * end] == group) ++end;
    kernels.prepare(panel, group, 0, buffers);
    kernels.add_words(panel, buffers, x, word, end);
    word = end;
  }
}

void run(const Int4Kernels& kernels, const LinearArgs& args) {
  const quant::Matrix& w = *args.weight;
  check(w);
  const std::int64_t groups = w.scales.dim(0);
  const bool one_group = words_have_one_group(w);
  const std::vector<float> word_sums = sum_words(args);
  const std::int64_t most_outputs = args.rows == 1 && one_group ? kStreamPanel : kCachedPanel;

  const std::int64_t grains = (w.rows + kPanelGrain - 1) / kPanelGrain;
  parallel_for(grains, 1, [&](std::int64_t first, std::int64_t last) {
    const std::int64_t stride = std::min(most_outputs, (last - first) * kPanelGrain);
    const std::int64_t prepared = one_group ? 1 : groups;
    Tensor buffer = Tensor::empty(DType::f32, {2 * prepared + kInt4Rows, stride});
    float* scales = buffer.data<float>();
    const Int4Buffers buffers{scales, scales + prepared * stride, scales + 2 * prepared * stride,
                              stride};
    const std::int64_t end = std::min(last * kPanelGrain, w.rows);
    for (std::int64_t n = first * kPanelGrain; n < end; n += stride) {
      const Int4Panel panel = panel_of(w, n, std::min(n + stride, end));
      for (std::int64_t g = 0; g < groups && !one_group; ++g) {
        kernels.prepare(panel, g, g, buffers);
      }
      for (std::int64_t r = 0; r < args.rows; r += kInt4Rows) {
        const Int4Activations x{args.x + r * w.columns, word_sums.data() + r * panel.words,
                                std::min(kInt4Rows, args.rows - r)};
        std::fill_n(buffers.sums, x.rows * stride, 0.0f);
        if (one_group) {
          add_groups(kernels, panel, buffers, x);
        } else {
          kernels.add_mixed_words(panel, buffers, x, 0, panel.words);
        }
        for (std::int64_t i = 0; i < x.rows; ++i) {
          std::copy_n(buffers.sums + i * stride, panel.outputs, args.y + (r + i) * w.rows + n);
        }
      }
    }
  });
}

const std::array<KernelVariant<LinearArgs>, 3> kVariants{{
    {"gemm_int4_avx512", Isa::avx512, nullptr,
     [](const LinearArgs& args) { run(kInt4Avx512, args); }},
    {"gemm_int4_avx2", Isa::avx2, nullptr, [](const LinearArgs& args) { run(kInt4Avx2, args); }},
    {"gemm_int4_scalar", Isa::scalar, nullptr,
     [](const LinearArgs& args) {
       check(*args.weight);
       gemm_int4_scalar(args);
     }},
}};

}  // namespace

std::span<const KernelVariant<LinearArgs>> gemm_int4_variants() {
  return kVariants;
}

}  // namespace plimsoll::kernels
