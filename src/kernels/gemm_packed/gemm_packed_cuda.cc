#include "kernels/gemm_packed/gemm_packed_cuda.h"

#include <algorithm>
#include <limits>
#include <span>
#include <utility>

#include "core/error.h"
#include "kernels/cuda/tensor_map_cuda.h"
#include "kernels/gemm_packed/gemm_packed_plan_cuda.h"
#include "kernels/gemm_packed/mixed_panels_cuda.h"
#include "kernels/gemv/gemv_plan_cuda.h"
#include "quant/int8.h"

namespace plimsoll::kernels::gemm_packed {

namespace {

using gemv::DeviceWeights;
using gemv::Format;

constexpr int kLeastTokens = 32;  // of a block
constexpr int kMostTokens = 256;

/// Whether the kernels were compiled: products of warpgroups are sm_90a's, not sm_90's.
#ifdef PLIMSOLL_HAS_SM90A
constexpr bool kCompiled = true;
#else
constexpr bool kCompiled = false;
#endif

std::int64_t round_up(std::int64_t value, std::int64_t to) {
  return (value + to - 1) / to * to;
}

int columns_of(const DeviceWeights& w) {
  return w.chunks * gemv::chunk_columns(w.format);
}

bool is_bytes(Format format) {
  return format == Format::fp8 || format == Format::int8 || format == Format::int8_static;
}

bool is_table(Format format) {
  return format == Format::table4 || format == Format::table4_dq;
}

/// LLM.int8() with outliers: s8 where there are none, f16 where there are.
bool is_mixed(const DeviceWeights& w, Operand operand) {
  return operand == Operand::s8 && w.outlier_threshold > 0;
}

/// Tiles of weights of a block.
int block_tiles(Format format, int tokens) {
  return is_table(format) ? table_block_tiles(tokens) : kBlockTiles;
}

Launch launch_of(const DeviceWeights& w, Operand operand, int tokens) {
  if (is_mixed(w, operand)) return mixed_launch(tokens);
  if (is_bytes(w.format)) return byte_launch(w.format, operand, tokens);
  if (is_table(w.format)) return table4_launch(w.format, tokens);
  return dense_launch(w.format, operand, tokens);
}

/// What lies where in Args::scratch; offsets in bytes.
struct Panels {
  std::int64_t padded;      // tokens
  int blocks;               // of columns
  std::size_t scales;       // and of mixed ones:
  std::size_t code_scales;  // see MixedPanelArgs
  std::size_t rows;
  std::size_t own_outliers;
  std::size_t listed;
  std::size_t total;
};

Panels panels_of(std::int64_t columns, Operand operand, bool mixed, std::int64_t rows) {
  Panels panels{};
  panels.padded = round_up(rows, kMostTokens);
  panels.blocks = static_cast<int>(columns / block_columns(operand));
  const auto padded = static_cast<std::size_t>(panels.padded);
  const std::int64_t bytes_of_token =
      mixed ? (columns / kMixedColumns + 1) * kMixedTokenBytes : panels.blocks * kBlockBytes;
  std::size_t end = 0;
  const auto add = [&](std::size_t bytes) { return std::exchange(end, end + bytes); };
  add(padded * static_cast<std::size_t>(bytes_of_token));
  panels.scales = add(padded * sizeof(float));
  if (mixed) {
    panels.code_scales = add(padded * sizeof(float));
    panels.rows = add(padded * sizeof(MixedRow));
    panels.own_outliers = add(padded * kMaskWords * sizeof(std::uint32_t));
    panels.listed = add(padded / kLeastTokens * kMaskWords * sizeof(std::uint32_t));
  }
  panels.total = end;
  return panels;
}

Panels panels_of(const DeviceWeights& w, Operand operand, std::int64_t rows) {
  return panels_of(columns_of(w), operand, is_mixed(w, operand), rows);
}

/// How a product is divided: tokens of a block, and blocks that share a tile of the result.
struct Division {
  int tokens;
  int splits;
};

/// What a block takes on an H200, in microseconds (docs/measuring.md): for a block of columns when
/// it is alone on its multiprocessor and beside another, and for its beginning and end.
struct Costs {
  int tokens;
  double alone, together, ends;
};
constexpr Costs kCosts[] = {
    {32, 0.45, 0.75, 12}, {64, 0.45, 0.75, 13}, {128, 0.8, 0, 14}, {256, 0.7, 0, 15}};
/// 4-bit tables: a block is alone, and has twice the weights where tokens are few.
constexpr Costs kTableCosts[] = {{16, 0.40, 0, 7.1},
                                 {32, 0.43, 0, 8.8},
                                 {64, 0.525, 0, 11.7},
                                 {128, 0.60, 0, 12},
                                 {256, 0.65, 0, 17}};
constexpr Costs kEightBitCosts[] = {  // blocks of twice as many columns
    {32, 0.45, 0.6, 12},
    {64, 0.46, 0.62, 12},
    {128, 0.65, 0, 15},
    {256, 0.69, 0, 20}};

std::span<const Costs> costs_of(const DeviceWeights& w, Operand operand) {
  if (element_bytes(operand) == 1) return kEightBitCosts;
  if (is_table(w.format)) return kTableCosts;
  return kCosts;
}

/// What sharing costs, and multiprocessors that can be in clusters of so many blocks.
struct Sharing {
  double cost;
  int splits;
  int multiprocessors;
};
constexpr Sharing kSharing[] = {{0, 1, 132}, {1, 2, 132}, {3, 4, 120}, {10, 8, 112}};
constexpr Sharing kTableSharing[] = {{0, 1, 132}, {1, 2, 132}, {2, 3, 117}, {2, 4, 120},
                                     {2, 5, 110}, {2, 6, 102}, {4, 7, 105}, {5, 8, 120}};

/// The cheapest by this model. An H200 is taken for granted, so that no result depends on the GPU's
/// number of multiprocessors.
Division division_of(const DeviceWeights& w, Operand operand, int blocks, int rows) {
  Division best{};
  double least = std::numeric_limits<double>::infinity();
  const std::span<const Sharing> sharings = is_table(w.format)
                                                ? std::span<const Sharing>(kTableSharing)
                                                : std::span<const Sharing>(kSharing);
  for (const Costs& costs : costs_of(w, operand)) {
    const int block = block_tiles(w.format, costs.tokens);
    const int weight_tiles = (w.tiles + block - 1) / block;
    const int tiles = (rows + costs.tokens - 1) / costs.tokens * weight_tiles;
    for (const Sharing& sharing : sharings) {
      if (sharing.splits > 1 && sharing.splits * 4 > blocks) break;
      const int all = tiles * sharing.splits;
      const bool alone = costs.together == 0 || all <= sharing.multiprocessors;
      const int slots = sharing.multiprocessors * (alone ? 1 : 2);
      const int waves = (all + slots - 1) / slots;
      const double columns = static_cast<double>(blocks) / sharing.splits;
      const double time =
          waves * (columns * (alone ? costs.alone : costs.together) + costs.ends) + sharing.cost;
      if (time < least) {
        least = time;
        best = {costs.tokens, sharing.splits};
      }
    }
  }
  return best;
}

}  // namespace

Operand natural_operand(const DeviceWeights& weights) {
  return weights.format == Format::bf16 ? Operand::bf16 : Operand::f16;
}

bool supports(const DeviceWeights& w, Operand operand, const char** why) {
  const auto no = [&](const char* reason) {
    if (why != nullptr) *why = reason;
    return false;
  };
  if (!kCompiled) return no("a build without code for sm_90a");
  if (gemv::limits().major != 9) return no("a GPU without warpgroup products (sm_90)");
  if (w.format == Format::f32) return no("fp32 weights");
  if (columns_of(w) % block_columns(operand) != 0) return no("columns that fill no whole block");
  if (w.columns % 4 != 0) return no("columns in no whole fours");
  if (columns_of(w) > gemv::kMaxColumns) return no("more columns than a panel's row has");
  const bool eight_bits = (operand == Operand::e4m3 && w.format == Format::fp8) ||
                          (operand == Operand::s8 && w.format == Format::int8);
  if (operand != natural_operand(w) && !eight_bits) return no("no product of that type");
  return true;
}

std::size_t scratch_bytes(const DeviceWeights& weights, std::int64_t rows) {
  return scratch_bytes(columns_of(weights), rows);
}

bool supports(std::int64_t columns) {
  return kCompiled && gemv::limits().major == 9 && columns % block_columns(Operand::f16) == 0 &&
         columns <= gemv::kMaxColumns;
}

std::size_t scratch_bytes(std::int64_t columns, std::int64_t rows) {
  return std::max(panels_of(columns, Operand::f16, false, rows).total,
                  panels_of(columns, Operand::s8, true, rows).total);
}

void run_as(const Args& args, int tokens, int splits, cudaStream_t stream) {
  const DeviceWeights& w = *args.weights;
  const char* why = "";
  PLIMSOLL_CHECK(supports(w, args.operand, &why), "{}", why);
  PLIMSOLL_CHECK(args.scratch != nullptr && args.rows > 0);
  const Panels at = panels_of(w, args.operand, args.rows);
  PLIMSOLL_CHECK(splits >= 1 && splits <= std::min(kMostSplits, at.blocks));
  auto* scratch = static_cast<std::byte*>(args.scratch);
  MixedPanelArgs panels;
  panels.x = args.x;
  panels.x16 = args.x16;
  panels.bf16 = args.bf16;
  panels.rows = args.rows;
  panels.columns = w.columns;
  panels.blocks = at.blocks;
  panels.gather = w.gather;
  panels.norm = args.norm;
  panels.norm_bias = args.norm_bias;
  panels.epsilon = args.epsilon;
  panels.format = w.format;
  panels.operand = args.operand;
  panels.panels = scratch;
  panels.padded = at.padded;
  panels.scales = reinterpret_cast<float*>(scratch + at.scales);
  panels.dependent = args.dependent;
  if (is_mixed(w, args.operand)) {
    panels.threshold = w.outlier_threshold;
    panels.tokens = tokens;
    panels.code_scales = reinterpret_cast<float*>(scratch + at.code_scales);
    panels.mixed_rows = reinterpret_cast<MixedRow*>(scratch + at.rows);
    panels.own_outliers = reinterpret_cast<std::uint32_t*>(scratch + at.own_outliers);
    panels.listed = reinterpret_cast<std::uint32_t*>(scratch + at.listed);
    make_mixed_panels(panels, stream);
  } else {
    make_panels(panels, stream);
  }

  Plan plan;
  plan.args = args;
  plan.w = w;
  plan.panels = reinterpret_cast<const unsigned char*>(scratch);
  plan.token_scales = panels.scales;
  plan.code_scales = panels.code_scales;
  plan.listed = panels.listed;
  plan.padded = at.padded;
  plan.blocks = at.blocks;
  plan.token_tiles = (args.rows + tokens - 1) / tokens;
  const int tiles = block_tiles(w.format, tokens);
  plan.weight_tiles = (w.tiles + tiles - 1) / tiles;
  plan.splits = splits;
  plan.share = tokens >= 128 && splits == 1 && plan.weight_tiles > 1;
  plan.weight_scale = quant::kInt8WeightScale;
  if (is_mixed(w, args.operand)) {
    const auto words = static_cast<std::uint64_t>(w.chunks) * gemv::kCodeBytes / 4;
    plan.codes = tensor_map(w.codes, static_cast<std::uint64_t>(w.tiles), words, kBlockTiles,
                            gemv::kCodeBytes / 4);
  }
  launch_of(w, args.operand, tokens)(plan, stream);
}

void run(const Args& args, cudaStream_t stream) {
  const Panels at = panels_of(*args.weights, args.operand, args.rows);
  const Division division = division_of(*args.weights, args.operand, at.blocks, args.rows);
  run_as(args, division.tokens, division.splits, stream);
}

}  // namespace plimsoll::kernels::gemm_packed
