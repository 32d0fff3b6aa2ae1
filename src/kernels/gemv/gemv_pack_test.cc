#include "kernels/gemv/gemv_pack.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/tile_fma/quantised_cases.h"
#include "quant/block4.h"
#include "quant/int8.h"
#include "support/support.h"

namespace plimsoll::kernels::gemv {
namespace {

using quant::Matrix;
using quant::WeightFormat;

Matrix random_dense(WeightFormat format, std::int64_t rows, std::int64_t columns) {
  Matrix w;
  w.format = format;
  w.rows = rows;
  w.columns = columns;
  const std::vector<float> values = cases::random_values(rows * columns, 5);
  w.codes = converted(Tensor::from<float>(values, {rows, columns}), quant::dense_dtype(format));
  return w;
}

// PRMT by its definition in the PTX manual: the selector's upper bit replicates the byte's sign.
int permuted(const std::uint32_t (&bytes)[2], int selector) {
  const auto byte = static_cast<std::int8_t>(bytes[selector % 8 / 4] >> (8 * (selector % 4)));
  return selector >= 8 ? (byte < 0 ? -1 : 0) : byte;
}

// Row j of a tile at a column, by the drawing in gemv_layout.h; table4's level for its weight.
float unpacked(const Packed& packed, std::int64_t tile, int j, std::int64_t column) {
  const int columns = chunk_columns(packed.format);
  const std::int64_t chunk = column / columns;
  const auto within = static_cast<int>(column % columns);
  const std::int64_t at = tile * packed.chunks + chunk;
  const int lane = j % 8 * 4 + within / (columns / 4);
  const std::byte* bytes = packed.codes.raw() + at * kCodeBytes + lane * 16 + j / 8 * 8;
  const int i = within % (columns / 4);
  const float* meta =
      packed.row_meta.defined()
          ? packed.row_meta.data<float>() + (tile * kTileRows + j) * row_meta_floats(packed.format)
          : nullptr;
  switch (packed.format) {
    case Format::f32:
      return reinterpret_cast<const float*>(bytes)[i];
    case Format::f16:
      return to_float(reinterpret_cast<const fp16*>(bytes)[i]);
    case Format::bf16:
      return to_float(reinterpret_cast<const bf16*>(bytes)[i]);
    case Format::fp8:
      return to_float(reinterpret_cast<const fp8_e4m3*>(bytes)[i]) * *meta;
    case Format::int8:
    case Format::int8_static:
      return quant::int8_weight(static_cast<std::int8_t>(bytes[i]), *meta);
    default:
      break;
  }
  if (packed.format == Format::int4) {
    const unsigned code = static_cast<unsigned>(bytes[i / 8 * 4 + i % 4]) >> (i % 8 / 4 * 4) & 0xf;
    const std::byte* scales = packed.scales.raw() + at * scale_bytes(packed.format);
    const unsigned zeros = static_cast<unsigned>(scales[32 + j % 8]) >> (j / 8 * 4) & 0xf;
    fp16 scale;
    std::memcpy(&scale, scales + (j % 8 * 2 + j / 8) * 2, 2);
    return to_float(scale) * (static_cast<float>(code) - static_cast<float>(zeros));
  }
  const int code = static_cast<int>(static_cast<unsigned>(bytes[i / 2]) >> (4 * (i % 2)) & 0xf);
  const int level = permuted(packed.low_levels, code) + permuted(packed.high_levels, code ^ 8);
  float scale = 0;
  const int place = j % 8 * 2 + j / 8;
  if (packed.format == Format::table4) {
    std::memcpy(&scale, packed.scales.raw() + at * 64 + place * 4, 4);
  } else {
    RowScales row;
    std::memcpy(&row, meta, sizeof row);
    const float of_code =
        packed.nested_table
            .data<float>()[static_cast<unsigned>(packed.scales.raw()[at * 16 + place])];
    scale = of_code * (chunk < row.border ? row.first : row.second) + row.offset;
  }
  return static_cast<float>(level) * packed.level_unit * scale;
}

void expect_packed(std::span<const Matrix* const> parts, const Order& order) {
  const Support support = can_pack(parts, order);
  ASSERT_TRUE(support) << support.reason;
  const Packed packed = pack(parts, order);
  std::vector<Tensor> decoded;
  decoded.reserve(parts.size());
  for (const Matrix* part : parts) decoded.push_back(quant::decode(*part));
  std::vector<bool> seen(static_cast<std::size_t>(order.rows));
  for (std::int64_t tile = 0; tile < packed.tiles; ++tile) {
    for (int j = 0; j < kTileRows; ++j) {
      const std::int64_t row = order.row(tile, j);
      std::int64_t local = row;
      std::size_t part = 0;
      while (part < parts.size() && local >= parts[part]->rows) local -= parts[part++]->rows;
      if (part < parts.size()) seen[static_cast<std::size_t>(row)] = true;
      for (std::int64_t at = 0; at < packed.chunks * chunk_columns(packed.format); ++at) {
        const std::int64_t c =
            packed.gather.defined() ? packed.gather.data<std::int32_t>()[at] : at;
        if (c < 0) continue;
        const float expected = part < parts.size() && c < packed.columns
                                   ? decoded[part].data<float>()[local * packed.columns + c]
                                   : 0.0f;
        const float actual = unpacked(packed, tile, j, at);
        // Levels are rounded to units; a block's scale is at most 1.01 + 0.5 in these matrices.
        const float bound = packed.level_unit * 0.51f * 2.1f + 1e-6f * std::fabs(expected);
        ASSERT_NEAR(actual, expected, part < parts.size() ? bound : 1e3f)
            << "row " << row << " column " << c;
      }
    }
  }
  for (const bool row : seen) EXPECT_TRUE(row);
}

TEST(GemvPack, EveryFormatLiesAsDrawn) {
  for (const auto format : {WeightFormat::fp32, WeightFormat::fp16, WeightFormat::bf16}) {
    for (const std::int64_t columns : {48, 45}) {  // the last chunk's rest is zero
      const Matrix w = random_dense(format, 37, columns);
      expect_packed(std::vector<const Matrix*>{&w}, {Pairing::none, 0, 37});
    }
  }
  for (const auto format : {WeightFormat::int8, WeightFormat::fp8, WeightFormat::int8_static}) {
    const Matrix w = cases::random_matrix(format, 37, 75);
    expect_packed(std::vector<const Matrix*>{&w}, {Pairing::none, 0, 37});
  }
  for (const auto format :
       {WeightFormat::int8, WeightFormat::fp8, WeightFormat::nf4, WeightFormat::nf4_dq,
        WeightFormat::fp4, WeightFormat::log4, WeightFormat::int8_static}) {
    const Matrix w = cases::random_matrix(format, 37, 192);
    expect_packed(std::vector<const Matrix*>{&w}, {Pairing::none, 0, 37});
  }
}

TEST(GemvPack, GroupsBecomeChunks) {
  const auto packed_columns = [](const Matrix& w) {
    const std::vector<const Matrix*> parts{&w};
    expect_packed(parts, {Pairing::none, 0, w.rows});
    const Packed packed = pack(parts, {Pairing::none, 0, w.rows});
    if (!packed.gather.defined()) return std::int64_t{0};
    // Every stored column once.
    std::vector<int> seen(static_cast<std::size_t>(w.columns));
    for (const std::int32_t c : packed.gather.span<std::int32_t>()) {
      if (c >= 0) ++seen[static_cast<std::size_t>(c)];
    }
    EXPECT_EQ(seen, std::vector<int>(static_cast<std::size_t>(w.columns), 1));
    return packed.gather.dim(0);
  };
  using cases::random_matrix;
  EXPECT_EQ(packed_columns(random_matrix(WeightFormat::int4, 40, 256)), 0);
  EXPECT_EQ(packed_columns(random_matrix(WeightFormat::gptq, 40, 256, {.block = 128})), 0);
  // Each group of 32, and the last of 8, has a chunk.
  EXPECT_EQ(packed_columns(random_matrix(WeightFormat::int4, 40, 72, {.block = 32})), 3 * 64);
  EXPECT_EQ(packed_columns(random_matrix(WeightFormat::gptq, 40, 320,
                                         {.block = 128, .shuffled_groups = true})),
            320);
}

TEST(GemvPack, Int8StaticKnowsTheSumsOfItsCodes) {
  const Matrix w = cases::random_matrix(WeightFormat::int8_static, 5, 64);
  const Packed packed = pack(std::vector<const Matrix*>{&w}, {Pairing::none, 0, 5});
  for (int row = 0; row < 5; ++row) {
    std::int32_t expected = 0;
    for (int c = 0; c < 64; ++c) expected += w.codes.data<std::int8_t>()[row * 64 + c];
    std::int32_t sum = 0;
    std::memcpy(&sum, packed.row_meta.data<float>() + row * 2 + 1, 4);
    EXPECT_EQ(sum, expected);
  }
}

TEST(GemvPack, PairsOfHalvesAndHeadsLieInOneLane) {
  const Matrix gate = cases::random_matrix(WeightFormat::nf4_dq, 24, 128);
  Matrix up = cases::random_matrix(WeightFormat::nf4_dq, 24, 128, {.seed = 9});
  EXPECT_FALSE(can_pack(std::vector<const Matrix*>{&gate, &up}, {Pairing::halves, 0, 48}))
      << "their tables differ";
  up.table = gate.table;
  up.nested_table = gate.nested_table;
  expect_packed(std::vector<const Matrix*>{&gate, &up}, {Pairing::halves, 0, 48});
  expect_packed(std::vector<const Matrix*>{&gate, &up}, {Pairing::heads, 16, 48});
  const Order halves{Pairing::halves, 0, 48};
  EXPECT_EQ(halves.row(1, 3) + 24, halves.row(1, 11));
  const Order heads{Pairing::heads, 32, 64};
  EXPECT_EQ(heads.row(3, 2), 32 + 8 + 2);
  EXPECT_EQ(heads.row(3, 10), 32 + 8 + 2 + 16);
}

TEST(GemvPack, ARowAcrossTwoNestedScalesKnowsTheBorder) {
  // 3 blocks a row, 256 blocks a nested scale: row 85 has its first block in one and the rest in
  // the next.
  const Matrix w = cases::random_matrix(WeightFormat::nf4_dq, 90, 192);
  expect_packed(std::vector<const Matrix*>{&w}, {Pairing::none, 0, 90});
}

TEST(GemvPack, BlocksOfSeveralChunks) {
  // Also such that run from one row into the next.
  for (const auto format : {WeightFormat::nf4, WeightFormat::nf4_dq}) {
    for (const int block : {128, 256, 4096}) {
      const Matrix w = cases::random_matrix(format, 300, 320, {.block = block});
      ASSERT_EQ(w.block, block);
      expect_packed(std::vector<const Matrix*>{&w}, {Pairing::none, 0, 300});
    }
  }
}

TEST(GemvPack, LevelsSplitForEveryTable) {
  for (const auto format : {WeightFormat::nf4, WeightFormat::fp4, WeightFormat::log4}) {
    const std::span<const float> levels = quant::block4_levels(format);
    const SplitLevels split = split_levels(levels);
    std::uint32_t low[2];
    std::uint32_t high[2];
    std::memcpy(low, split.low, 8);
    std::memcpy(high, split.high, 8);
    for (int code = 0; code < 16; ++code) {
      const auto expected =
          static_cast<int>(std::nearbyint(levels[static_cast<std::size_t>(code)] / split.unit));
      EXPECT_EQ(permuted(low, code) + permuted(high, code ^ 8), expected)
          << quant::format_name(format) << " code " << code;
    }
  }
}

TEST(GemvPack, EveryPairOfLevelsSplits) {
  for (int below = -126; below <= 126; below += 3) {
    for (int above = -126; above <= 126; ++above) {
      std::vector<float> levels(16, 0.0f);
      levels[0] = 126;
      levels[5] = static_cast<float>(below);
      levels[13] = static_cast<float>(above);
      const SplitLevels split = split_levels(levels);
      ASSERT_EQ(split.low[5] + (split.high[5] < 0 ? -1 : 0), below) << above;
      ASSERT_EQ(split.high[5] + (split.low[5] < 0 ? -1 : 0), above) << below;
    }
  }
}

TEST(GemvPack, RefusesWithAReason) {
  const auto reason = [](const Matrix& w, const Order& order) {
    return can_pack(std::vector<const Matrix*>{&w}, order).reason;
  };
  const Matrix odd = cases::random_matrix(WeightFormat::nf4, 16, 96);
  EXPECT_EQ(reason(odd, {Pairing::none, 0, 16}), "96 columns are no multiple of 64");
  Matrix w = cases::random_matrix(WeightFormat::int8, 24, 64);
  EXPECT_EQ(reason(w, {Pairing::halves, 0, 24}), "24 rows are no multiple of 16");
  EXPECT_EQ(reason(w, {Pairing::heads, 32, 24}), "24 rows in heads of 32");
  EXPECT_EQ(reason(w, {Pairing::none, 0, 16}), "the order is of another number of rows");
  w.outlier_threshold = 6;
  w.outliers_by_batch = true;
  EXPECT_EQ(reason(w, {Pairing::none, 0, 24}), "outliers by batch");
  const Matrix one = cases::random_matrix(WeightFormat::gptq, 16, 128, {.shuffled_groups = true});
  const Matrix other = cases::random_matrix(WeightFormat::gptq, 16, 128);
  EXPECT_EQ(can_pack(std::vector<const Matrix*>{&one, &other}, {Pairing::none, 0, 32}).reason,
            "the matrices have their columns in different groups");
}

}  // namespace
}  // namespace plimsoll::kernels::gemv
