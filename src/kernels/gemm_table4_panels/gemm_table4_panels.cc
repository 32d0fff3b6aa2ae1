#include "kernels/gemm_table4_panels/gemm_table4_panels.h"

#include <array>
#include <cmath>
#include <cstring>
#include <span>

#include "kernels/gemm_dense_panels/gemm_dense_panels_isa.h"
#include "kernels/gemm_table4_panels/gemm_table4_panels_isa.h"
#include "kernels/panels/row_tiles.h"

namespace plimsoll::kernels {

namespace {

constexpr std::int64_t kBlock = kPanelBlock;
/// Nested scales.
constexpr std::int64_t kScalesAhead = 32;

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

constexpr std::size_t kMostTogether = 2;

// Scales of a panel. What is stored in fewer bits is expanded into a buffer of the thread's, or
// in the product's loop.
class PanelScales {
 public:
  PanelScales(const quant::Matrix& w, const Table4PanelKernels& kernels)
      : w_(w), kernels_(kernels), blocks_(w.columns / kBlock) {
    if (w.scales.dtype() != DType::u8) return;
    std::array<std::uint32_t, 256> map{};
    PLIMSOLL_CHECK(w.nested_table.bytes() == sizeof map);
    std::memcpy(map.data(), w.nested_table.raw(), sizeof map);
    for (std::size_t plane = 0; plane < 4; ++plane) {
      for (std::size_t i = 0; i < 256; ++i) {
        planes_[256 * plane + i] = static_cast<std::uint8_t>(map[i] >> 8 * plane);
      }
    }
  }

  struct Buffer {
    std::vector<float> values;
    std::array<float, kPairLanes> outer{};
    std::vector<int> first;
    std::vector<Table4Change> changes;
    Table4Nested nested{};
  };

  /// `expanded`: for those who take nested scales so often that it pays.
  Table4Scales of(std::int64_t panel, bool expanded, Buffer& buffer) const {
    if (w_.zeros.defined()) return grouped(panel, buffer);
    if (w_.scales.dtype() != DType::u8) {
      return {w_.scales.data<float>() + panel * blocks_ * kPanelOutputs, nullptr, 1, nullptr};
    }
    const std::int64_t pairs = (blocks_ + 1) / 2;
    find_changes(panel, buffer);
    buffer.nested = {w_.scales.data<std::uint8_t>() + panel * pairs * kPairLanes,
                     planes_.data(),
                     w_.nested_table.data<float>(),
                     w_.nested_offset,
                     buffer.outer.data(),
                     buffer.first.data(),
                     buffer.changes.data()};
    if (!expanded) return {nullptr, nullptr, 1, &buffer.nested};
    buffer.values.resize(static_cast<std::size_t>(pairs * kPairLanes));
    kernels_.expand_scales(buffer.nested, pairs, buffer.values.data());
    return {buffer.values.data(), nullptr, 1, nullptr};
  }

 private:
  // int4, gptq.
  Table4Scales grouped(std::int64_t panel, Buffer& buffer) const {
    const std::int64_t count = w_.scales.dim(1) * kPanelOutputs;
    buffer.values.resize(static_cast<std::size_t>(count));
    kernels_.widen(reinterpret_cast<const std::uint16_t*>(w_.scales.raw()) + panel * count, count,
                   buffer.values.data());
    return {buffer.values.data(), w_.zeros.data<std::uint8_t>() + panel * count, w_.block / kBlock,
            nullptr};
  }

  // Blocks are counted through the whole matrix, and nested_block of them share a nested scale: it
  // changes at a few blocks of a panel, in the middle of some output's.
  void find_changes(std::int64_t panel, Buffer& buffer) const {
    const std::int64_t pairs = (blocks_ + 1) / 2;
    const auto absmax = w_.nested_scales.span<float>();
    // Beyond the matrix's last block, in padding, there is no further scale.
    const auto last = static_cast<std::int64_t>(absmax.size()) - 1;
    buffer.first.assign(static_cast<std::size_t>(pairs), -1);
    buffer.changes.clear();
    const auto change = [&](std::int64_t pair, std::int64_t lane, float outer) {
      if (pair == 0) buffer.outer[static_cast<std::size_t>(lane)] = outer;
      if (pair == 0 || pair >= pairs) return;
      int& first = buffer.first[static_cast<std::size_t>(pair)];
      buffer.changes.push_back({static_cast<int>(lane), first, outer});
      first = static_cast<int>(buffer.changes.size()) - 1;
    };
    std::int64_t start = panel * kPanelOutputs * blocks_;
    std::int64_t group = start / w_.nested_block;
    std::int64_t border = (group + 1) * w_.nested_block;
    float outer = absmax[static_cast<std::size_t>(std::min(group, last))];
    // A few a panel: too slow a stream for the hardware to read ahead.
    __builtin_prefetch(absmax.data() + std::min(group + kScalesAhead, last));
    for (std::int64_t output = 0; output < kPanelOutputs; ++output, start += blocks_) {
      buffer.outer[static_cast<std::size_t>(output)] = outer;
      buffer.outer[static_cast<std::size_t>(kPanelOutputs + output)] = outer;
      for (; border < start + blocks_; border += w_.nested_block) {
        outer = absmax[static_cast<std::size_t>(std::min(++group, last))];
        change((border - start + 1) / 2, output, outer);
        change((border - start) / 2, kPanelOutputs + output, outer);
      }
    }
  }

  const quant::Matrix& w_;
  const Table4PanelKernels& kernels_;
  std::int64_t blocks_;
  std::array<std::uint8_t, 1024> planes_{};
};

// body(panel, scales): the scales of a panel are prepared once for all of its tiles. As many
// neighbouring panels as there are scales, `together` at most.
template <class Body>
void for_each(const LinearArgs& args, const Table4PanelKernels& kernels, const RowTiles& x,
              bool expanded, std::int64_t together, const Body& body) {
  const quant::Matrix& w = *args.weight;
  const PanelScales scales(w, kernels);
  const std::int64_t panels = panel_count(w.rows);
  const std::int64_t group =
      x.tiles().size() > 1 ? 1 : std::max(together, panels_at_once(panels, panel_bytes(w), 1));
  parallel_for_free(panels, group, [&](std::int64_t begin, std::int64_t end) {
    thread_local std::array<PanelScales::Buffer, kMostTogether> buffers;
    std::array<Table4Scales, kMostTogether> of_panels;
    for (std::int64_t panel = begin; panel < end; panel += together) {
      const auto count = static_cast<std::size_t>(std::min(together, end - panel));
      for (std::size_t i = 0; i < count; ++i) {
        of_panels[i] = scales.of(panel + static_cast<std::int64_t>(i), expanded, buffers[i]);
      }
      body(panel, std::span<const Table4Scales>(of_panels.data(), count));
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
  const bool expanded = x.tiles().size() > 1;
  const bool in_twos = args.rows == 1 && kernels.two_panels != nullptr;
  const auto body = [&](std::int64_t first, std::span<const Table4Scales> scales) {
    for (const RowTile& tile : x.tiles()) {
      std::array<Table4TileArgs, kMostTogether> panels;
      for (std::size_t i = 0; i < scales.size(); ++i) {
        const std::int64_t panel = first + static_cast<std::int64_t>(i);
        const std::int64_t output = panel * kPanelOutputs;
        panels[i] = {w.codes.data<std::uint8_t>() + panel * panel_bytes(w),
                     levels.codes.data(),
                     tile.words,
                     blocks,
                     scales[i],
                     x_scales.data() + tile.first * blocks,
                     x_sums.data() + tile.first * blocks,
                     args.y + tile.first * w.rows + output,
                     w.rows,
                     tile.rows,
                     std::min(kPanelOutputs, w.rows - output)};
      }
      (scales.size() == 2 ? kernels.two_panels : kernels.tiles[tile.kernel])(panels.data());
    }
  };
  for_each(args, kernels, x, expanded, in_twos ? 2 : 1, body);
}

void run_exact(const Table4PanelKernels& kernels, const DenseTiles& dense, const LinearArgs& args) {
  const quant::Matrix& w = *args.weight;
  const RowTiles x(args.rows, w.columns, {dense.sizes, static_cast<std::size_t>(dense.count)},
                   [&](std::int64_t row, std::uint32_t* words) {
                     std::memcpy(words, args.x + row * w.columns,
                                 static_cast<std::size_t>(w.columns) * 4);
                   });
  const auto body = [&](std::int64_t panel, std::span<const Table4Scales> scales) {
    thread_local std::vector<float> decoded;
    decoded.resize(static_cast<std::size_t>(w.columns * kPanelOutputs));
    kernels.decode(w.codes.data<std::uint8_t>() + panel * panel_bytes(w), w.columns / kBlock,
                   w.table.data<float>(), scales.front(), decoded.data());
    const std::int64_t output = panel * kPanelOutputs;
    for (const RowTile& tile : x.tiles()) {
      dense.tiles[tile.kernel]({decoded.data(), tile.words, w.columns, nullptr,
                                args.y + tile.first * w.rows + output, w.rows, tile.rows,
                                std::min(kPanelOutputs, w.rows - output)});
    }
  };
  for_each(args, kernels, x, true, 1, body);
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
