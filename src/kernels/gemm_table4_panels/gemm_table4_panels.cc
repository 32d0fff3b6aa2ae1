#include "kernels/gemm_table4_panels/gemm_table4_panels.h"

#include <array>
#include <cmath>
#include <cstring>

#include "kernels/gemm_dense_panels/gemm_dense_panels_isa.h"
#include "kernels/gemm_table4_panels/gemm_table4_panels_isa.h"
#include "kernels/panels/row_tiles.h"

namespace plimsoll::kernels {

namespace {

constexpr std::int64_t kBlock = kPanelBlock;
// Of a pair of blocks: 32 outputs in each.
constexpr int kLanes = 64;

// The table in eight bits: level ~ codes * unit. Whole numbers (int4's 0 to 15) are exact.
struct Levels {
  std::array<std::int8_t, 16> codes{};
  float unit = 1;

  explicit Levels(const quant::Matrix& w) {
    const auto table = w.table.span<float>();
    float largest = 0;
    for (const float level : table) largest = std::max(largest, std::fabs(level));
    if (!w.zeros.defined()) unit = largest > 0 ? largest / 127 : 1;
    for (std::size_t i = 0; i < codes.size(); ++i) {
      codes[i] = static_cast<std::int8_t>(std::lround(table[i] / unit));
    }
  }
};

// fp32 scales of a panel. What is stored in fewer bits is expanded into a buffer of the thread's.
class PanelScales {
 public:
  PanelScales(const quant::Matrix& w, const Table4PanelKernels& kernels)
      : w_(w), kernels_(kernels), blocks_(w.columns / kBlock) {
    if (w.scales.dtype() != DType::u8) return;
    const auto map = w.nested_table.span<float>();
    for (std::size_t i = 0; i < map.size(); ++i) {
      std::array<std::uint8_t, 4> bytes{};
      std::memcpy(bytes.data(), &map[i], 4);
      for (std::size_t plane = 0; plane < 4; ++plane) planes_[256 * plane + i] = bytes[plane];
    }
  }

  struct Buffer {
    std::vector<float> values;
    std::vector<int> first;  // of the list of lanes that change with each pair
  };

  Table4Scales of(std::int64_t panel, Buffer& buffer) const {
    if (w_.zeros.defined()) return grouped(panel, buffer);
    if (w_.scales.dtype() == DType::u8) return {nested(panel, buffer), nullptr, 1};
    return {w_.scales.data<float>() + panel * blocks_ * kPanelOutputs, nullptr, 1};
  }

 private:
  // int4, gptq.
  Table4Scales grouped(std::int64_t panel, Buffer& buffer) const {
    const std::int64_t count = w_.scales.dim(1) * kPanelOutputs;
    buffer.values.resize(static_cast<std::size_t>(count));
    kernels_.widen(reinterpret_cast<const std::uint16_t*>(w_.scales.raw()) + panel * count, count,
                   buffer.values.data());
    return {buffer.values.data(), w_.zeros.data<std::uint8_t>() + panel * count, w_.block / kBlock};
  }

  // Double quantisation.
  const float* nested(std::int64_t panel, Buffer& buffer) const {
    const std::int64_t pairs = (blocks_ + 1) / 2;
    buffer.values.resize(static_cast<std::size_t>(pairs * kLanes));
    buffer.first.assign(static_cast<std::size_t>(pairs), -1);
    const std::uint8_t* codes = w_.scales.data<std::uint8_t>() + panel * pairs * kLanes;
    const auto absmax = w_.nested_scales.span<float>();
    // A lane is an output of the panel in the first or the second block of a pair. Its nested scale
    // changes every nested_block blocks, at a pair of its own.
    std::array<float, kLanes> outer{};
    std::array<std::size_t, kLanes> group{};
    std::array<int, kLanes> next{};
    const auto change_at = [&](std::int64_t pair, int lane) {
      if (pair >= pairs) return;
      int& first = buffer.first[static_cast<std::size_t>(pair)];
      next[static_cast<std::size_t>(lane)] = first;
      first = lane;
    };
    const std::int64_t last = w_.rows * blocks_ - 1;
    for (int lane = 0; lane < kLanes; ++lane) {
      const auto i = static_cast<std::size_t>(lane);
      const std::int64_t output = panel * kPanelOutputs + lane % kPanelOutputs;
      const std::int64_t block = std::min(output * blocks_ + lane / kPanelOutputs, last);
      group[i] = static_cast<std::size_t>(block / w_.nested_block);
      outer[i] = absmax[group[i]];
      change_at((w_.nested_block - block % w_.nested_block + 1) / 2, lane);
    }
    for (std::int64_t begin = 0; begin < pairs;) {
      std::int64_t end = begin + 1;
      while (end < pairs && buffer.first[static_cast<std::size_t>(end)] < 0) ++end;
      kernels_.expand_scales(codes + begin * kLanes, end - begin, planes_.data(),
                             w_.nested_table.data<float>(), outer.data(), w_.nested_offset,
                             buffer.values.data() + begin * kLanes);
      begin = end;
      if (begin == pairs) break;
      for (int lane = buffer.first[static_cast<std::size_t>(begin)]; lane >= 0;) {
        const auto i = static_cast<std::size_t>(lane);
        const int following = next[i];
        // Beyond the matrix's last block, in padding, there is no further scale.
        if (group[i] + 1 < absmax.size()) ++group[i];
        outer[i] = absmax[group[i]];
        change_at(begin + w_.nested_block / 2, lane);
        lane = following;
      }
    }
    return buffer.values.data();
  }

  const quant::Matrix& w_;
  const Table4PanelKernels& kernels_;
  std::int64_t blocks_;
  std::array<std::uint8_t, 1024> planes_{};
};

// body(panel, scales): the scales of a panel are expanded once for all of its tiles.
template <class Body>
void for_each(const LinearArgs& args, const Table4PanelKernels& kernels, const RowTiles& x,
              const Body& body) {
  const quant::Matrix& w = *args.weight;
  const PanelScales scales(w, kernels);
  const std::int64_t grain = x.tiles().size() > 1 ? 1 : 1 + (128 << 10) / panel_bytes(w);
  parallel_for(panel_count(w.rows), grain, [&](std::int64_t begin, std::int64_t end) {
    PanelScales::Buffer buffer;
    for (std::int64_t panel = begin; panel < end; ++panel) {
      body(panel, scales.of(panel, buffer));
    }
  });
}

void run_fast(const Table4PanelKernels& kernels, const LinearArgs& args) {
  const quant::Matrix& w = *args.weight;
  const std::int64_t blocks = w.columns / kBlock;
  const Levels levels(w);
  // A tile's padding rows read scales too; they are not written.
  const std::int64_t padded = args.rows + kernels.sizes[kernels.count - 1];
  std::vector<float> x_scales(static_cast<std::size_t>(padded * blocks));
  std::vector<std::int32_t> x_sums(x_scales.size());
  const RowTiles x(
      args.rows, w.columns / 4, {kernels.sizes, static_cast<std::size_t>(kernels.count)},
      [&](std::int64_t row, std::uint32_t* words) {
        float* scales = x_scales.data() + row * blocks;
        kernels.quantize(args.x + row * w.columns, blocks, reinterpret_cast<std::int8_t*>(words),
                         scales, x_sums.data() + row * blocks);
        for (std::int64_t b = 0; b < blocks; ++b) scales[b] *= levels.unit;
      });
  for_each(args, kernels, x, [&](std::int64_t panel, const Table4Scales& scales) {
    const std::int64_t output = panel * kPanelOutputs;
    for (const RowTile& tile : x.tiles()) {
      kernels.tiles[tile.kernel](
          {w.codes.data<std::uint8_t>() + panel * panel_bytes(w), levels.codes.data(), tile.words,
           blocks, scales, x_scales.data() + tile.first * blocks,
           x_sums.data() + tile.first * blocks, args.y + tile.first * w.rows + output, w.rows,
           tile.rows, std::min(kPanelOutputs, w.rows - output)});
    }
  });
}

void run_exact(const Table4PanelKernels& kernels, const DenseTiles& dense, const LinearArgs& args) {
  const quant::Matrix& w = *args.weight;
  const RowTiles x(args.rows, w.columns, {dense.sizes, static_cast<std::size_t>(dense.count)},
                   [&](std::int64_t row, std::uint32_t* words) {
                     std::memcpy(words, args.x + row * w.columns,
                                 static_cast<std::size_t>(w.columns) * 4);
                   });
  for_each(args, kernels, x, [&](std::int64_t panel, const Table4Scales& scales) {
    thread_local std::vector<float> decoded;
    decoded.resize(static_cast<std::size_t>(w.columns * kPanelOutputs));
    kernels.decode(w.codes.data<std::uint8_t>() + panel * panel_bytes(w), w.columns / kBlock,
                   w.table.data<float>(), scales, decoded.data());
    const std::int64_t output = panel * kPanelOutputs;
    for (const RowTile& tile : x.tiles()) {
      dense.tiles[tile.kernel]({decoded.data(), tile.words, w.columns, nullptr,
                                args.y + tile.first * w.rows + output, w.rows, tile.rows,
                                std::min(kPanelOutputs, w.rows - output)});
    }
  });
}

Support takes_fast(const LinearArgs& args) {
  if (args.compute == Compute::fast) return Support::yes();
  return Support::no("rounds activations: --compute fast only");
}

const std::array<KernelVariant<LinearArgs>, 4> kVariants{{
    {"gemm_table4_int8_panels_avx512_bf16", Isa::avx512_bf16, takes_fast,
     [](const LinearArgs& args) { run_fast(kTable4PanelsAvx512, args); }},
    {"gemm_table4_int8_panels_avx2", Isa::avx2, takes_fast,
     [](const LinearArgs& args) { run_fast(kTable4PanelsAvx2, args); }},
    {"gemm_table4_panels_avx512_bf16", Isa::avx512_bf16, nullptr,
     [](const LinearArgs& args) { run_exact(kTable4PanelsAvx512, kDensePanelsAvx512.f32, args); }},
    {"gemm_table4_panels_avx2", Isa::avx2, nullptr,
     [](const LinearArgs& args) { run_exact(kTable4PanelsAvx2, kDensePanelsAvx2.f32, args); }},
}};

}  // namespace

std::span<const KernelVariant<LinearArgs>> gemm_table4_panels_variants() {
  return kVariants;
}

}  // namespace plimsoll::kernels
