#include "kernels/gemm_table4/gemm_table4.h"

#include <algorithm>
#include <array>
#include <vector>

#include "core/threads.h"
#include "kernels/gemm_table4/gemm_table4_isa.h"
#include "kernels/gemm_table4/gemm_table4_ref.h"
#include "kernels/tile_fma/tile_product.h"
#include "quant/block4.h"

namespace plimsoll::kernels {

namespace {

// Codes that always share a scale: the least block that bitsandbytes has.
constexpr std::int64_t kRun = 64;
// Output rows whose scales are expanded at once: enough to amortise the call, few enough for L1.
constexpr std::int64_t kChunk = 32;

struct Table4Kernels {
  PackedActivations (*pack)(const LinearArgs&);
  Table4Product product;
  Table4Decode decode;
  TileFma tile_fma;
};

// One fp32 scale for each aligned run of 64 codes: those of the matrix where it has them so, else
// expanded (longer blocks, double quantisation) into `buffer`.
const float* run_scales(const quant::Matrix& w, std::int64_t begin, std::int64_t end,
                        std::vector<float>& buffer) {
  const std::int64_t runs_a_row = w.columns / kRun;
  const std::int64_t first = begin * runs_a_row;
  const std::int64_t count = (end - begin) * runs_a_row;
  const bool nested = w.scales.dtype() == DType::u8;
  if (!nested && w.block == kRun) return w.scales.data<float>() + first;

  buffer.resize(static_cast<std::size_t>(count));
  const std::int64_t runs_a_block = w.block / kRun;
  if (!nested) {
    const float* scales = w.scales.data<float>();
    for (std::int64_t i = 0; i < count; ++i) {
      buffer[static_cast<std::size_t>(i)] = scales[(first + i) / runs_a_block];
    }
    return buffer.data();
  }
  const std::uint8_t* codes = w.scales.data<std::uint8_t>();
  const float* map = w.nested_table.data<float>();
  const float* absmax = w.nested_scales.data<float>();
  const std::int64_t runs_a_nested = w.nested_block * runs_a_block;
  for (std::int64_t i = 0; i < count;) {
    const std::int64_t run = first + i;
    const float scale = absmax[run / runs_a_nested];
    const std::int64_t stop = std::min(count, i + runs_a_nested - run % runs_a_nested);
    if (runs_a_block == 1) {
      for (; i < stop; ++i) {
        buffer[static_cast<std::size_t>(i)] = map[codes[first + i]] * scale + w.nested_offset;
      }
    } else {
      for (; i < stop; ++i) {
        buffer[static_cast<std::size_t>(i)] =
            map[codes[(first + i) / runs_a_block]] * scale + w.nested_offset;
      }
    }
  }
  return buffer.data();
}

Table4Rows rows_of(const quant::Matrix& w, std::int64_t begin, std::int64_t end,
                   std::vector<float>& buffer) {
  return {w.codes.data<std::uint8_t>() + begin * (w.columns / 2), run_scales(w, begin, end, buffer),
          w.table.data<float>(), w.columns, end - begin};
}

// The order is drawn in gemm_table4_isa.h. kGroup, the columns packed together, is a template
// argument to make shifts of the divisions.
template <std::int64_t kGroup>
PackedActivations pack(const LinearArgs& args) {
  constexpr std::int64_t kLanes = kGroup / 8;
  const std::int64_t columns = args.weight->columns;
  PackedActivations packed = make_packed(args.rows, columns, kGroup);
  parallel_for(args.rows, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const float* x = args.x + r * columns;
      float* out = packed.values.data<float>() + r * packed.stride;
      for (std::int64_t word = 0; word < columns / 8; ++word) {
        float* lane = out + word / kLanes * kGroup + word % kLanes;
        for (std::int64_t nibble = 0; nibble < 8; ++nibble) {
          lane[nibble * kLanes] = x[word * 8 + (nibble ^ 1)];
        }
      }
    }
  });
  return packed;
}

void check(const quant::Matrix& w) {
  const std::int64_t size = w.rows * w.columns;
  const std::int64_t blocks = (size + w.block - 1) / w.block;
  PLIMSOLL_CHECK(w.codes.size() == size / 2 && w.scales.size() == blocks && w.table.size() == 16);
  PLIMSOLL_CHECK(w.scales.dtype() != DType::u8 ||
                 (w.nested_table.size() == 256 && w.nested_block > 0 &&
                  w.nested_scales.size() == (blocks + w.nested_block - 1) / w.nested_block));
}

void run(const Table4Kernels& kernels, const LinearArgs& args) {
  const quant::Matrix& w = *args.weight;
  check(w);
  const PackedActivations x = kernels.pack(args);
  // Tiles round each decoded weight, the product of few rows does not: one of them for all rows
  // under Numerics::invariant.
  if (args.rows > kTable4Rows && args.numerics == Numerics::fast) {
    multiply_tiles(
        x, args.rows, w.rows,
        [&](std::int64_t begin, std::int64_t end, std::int64_t depth_begin, std::int64_t depth_end,
            float* tile, std::int64_t tile_stride) {
          std::vector<float> scales;
          kernels.decode(rows_of(w, begin, end, scales), depth_begin, depth_end, tile, tile_stride);
        },
        kernels.tile_fma, args.y);
    return;
  }
  parallel_for(w.rows, kChunk, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> scales;
    for (std::int64_t n = begin; n < end; n += kChunk) {
      const Table4Rows rows = rows_of(w, n, std::min(n + kChunk, end), scales);
      for (std::int64_t r = 0; r < args.rows; r += kTable4Rows) {
        kernels.product(rows, x.row(r), x.stride,
                        std::min<std::int64_t>(kTable4Rows, args.rows - r), args.y + r * w.rows + n,
                        w.rows);
      }
    }
  });
}

Support takes_whole_blocks(const LinearArgs& args) {
  const quant::Matrix& w = *args.weight;
  if (w.columns % kRun != 0) return Support::no(fmt::format("{} columns: % 64 != 0", w.columns));
  if (w.block % kRun != 0) return Support::no(fmt::format("block {}: % 64 != 0", w.block));
  return Support::yes();
}

constexpr Table4Kernels kAvx2{pack<64>, table4_product_avx2, table4_decode_avx2, tile_fma_avx2};
constexpr Table4Kernels kAvx512{pack<128>, table4_product_avx512, table4_decode_avx512,
                                tile_fma_avx512};

const std::array<KernelVariant<LinearArgs>, 3> kVariants{{
    {"gemm_table4_avx512", Isa::avx512, takes_whole_blocks,
     [](const LinearArgs& args) { run(kAvx512, args); }},
    {"gemm_table4_avx2", Isa::avx2, takes_whole_blocks,
     [](const LinearArgs& args) { run(kAvx2, args); }},
    {"gemm_table4_scalar", Isa::scalar, nullptr, gemm_table4_scalar},
}};

}  // namespace

std::span<const KernelVariant<LinearArgs>> gemm_table4_variants() {
  return kVariants;
}

}  // namespace plimsoll::kernels
