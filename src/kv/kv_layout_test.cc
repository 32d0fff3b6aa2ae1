#include "kv/kv_layout.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "core/error.h"
#include "core/half.h"
#include "core/rng.h"

namespace plimsoll::kv {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr std::array kFormats{KvFormat::f32, KvFormat::bf16, KvFormat::fp16, KvFormat::int8};

/// Blocks of its own, filled with NaN (0xff bytes), in a shuffled order.
struct Cache {
  std::vector<std::byte> codes;
  std::vector<float> key_scales, value_scales;
  std::vector<std::int32_t> table{2, 0, 1};
  KvView view;

  explicit Cache(KvLayout layout) {
    codes.assign(static_cast<std::size_t>(3 * layout.block_bytes()), std::byte{0xff});
    key_scales.assign(static_cast<std::size_t>(3 * layout.block_scales()), kNan);
    value_scales = key_scales;
    view = {.layout = layout,
            .keys = codes.data(),
            .values = codes.data() + layout.part_bytes(),
            .key_scales = key_scales.data(),
            .value_scales = value_scales.data(),
            .table = table.data(),
            .length = 48};
  }
};

std::vector<float> random_rows(std::int64_t count, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<float> rows(static_cast<std::size_t>(count));
  for (float& x : rows) x = static_cast<float>(rng.normal());
  return rows;
}

/// What `format` makes of a row.
std::vector<float> rounded(const float* row, std::int64_t count, KvFormat format) {
  std::vector<float> result(row, row + count);
  float largest = 0;
  for (const float x : result) largest = std::max(largest, std::fabs(x));
  for (float& x : result) {
    if (format == KvFormat::bf16) x = to_float(to_bf16(x));
    if (format == KvFormat::fp16) x = to_float(to_fp16(x));
    if (format == KvFormat::int8) x = std::nearbyint(x * (127 / largest)) * (largest / 127);
  }
  return result;
}

TEST(KvLayout, WrittenTokensReadBackRounded) {
  for (const KvFormat format : kFormats) {
    for (const std::int64_t dim : {64, 33}) {
      const KvLayout layout{format, 2, dim};
      Cache cache(layout);
      const auto keys = random_rows(48 * 2 * dim, 1), values = random_rows(48 * 2 * dim, 2);
      // In pieces that end inside blocks and inside pairs.
      for (const auto& [begin, count] : {std::pair{0, 1}, {1, 14}, {15, 18}, {33, 15}}) {
        write_tokens(cache.view, begin, count, keys.data() + begin * 2 * dim,
                     values.data() + begin * 2 * dim);
      }
      std::vector<float> row(static_cast<std::size_t>(dim));
      for (std::int64_t token = 0; token < 48; ++token) {
        for (std::int64_t head = 0; head < 2; ++head) {
          const std::int64_t at = (token * 2 + head) * dim;
          read_key(cache.view, token, head, row.data());
          ASSERT_EQ(row, rounded(keys.data() + at, dim, format)) << token;
          read_value(cache.view, token, head, row.data());
          ASSERT_EQ(row, rounded(values.data() + at, dim, format)) << token;
        }
      }
    }
  }
}

// The drawing in kv_view.h, byte by byte.
TEST(KvLayout, IsAsDrawn) {
  Cache cache({KvFormat::bf16, 2, 20});
  const auto keys = random_rows(48 * 2 * 20, 1), values = random_rows(48 * 2 * 20, 2);
  write_tokens(cache.view, 0, 48, keys.data(), values.data());
  // Token 35 is slot 3 of block 1; head 1, element 5.
  const std::size_t part = 2 * 16 * 32, block = 1 * 2 * part, head = 16 * 32;
  const auto at = [&](std::size_t element) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, cache.codes.data() + element * 2, 2);
    return bits;
  };
  const std::size_t source = (35 * 2 + 1) * 20 + 5;
  EXPECT_EQ(at(block + head + (5 / 2 * 16 + 3) * 2 + 5 % 2), to_bf16(keys[source]).bits);
  EXPECT_EQ(at(block + part + head + (3 / 2 * 32 + 5) * 2 + 3 % 2), to_bf16(values[source]).bits);
  EXPECT_EQ(at(block + head + (20 / 2 * 16 + 3) * 2), 0) << "padding";

  Cache plain({KvFormat::f32, 2, 20});
  write_tokens(plain.view, 0, 48, keys.data(), values.data());
  const auto* codes = reinterpret_cast<const float*>(plain.codes.data());
  EXPECT_EQ(codes[block + head + 5 * 16 + 3], keys[source]);
  EXPECT_EQ(codes[block + part + head + 3 * 32 + 5], values[source]);
}

TEST(KvLayout, ABf16ValueClearsTheOtherOfItsPair) {
  Cache cache({KvFormat::bf16, 1, 16});
  const auto row = random_rows(16, 1);
  write_tokens(cache.view, 0, 1, row.data(), row.data());
  std::vector<float> other(16, kNan);
  read_value(cache.view, 1, 0, other.data());
  EXPECT_EQ(other, std::vector<float>(16, 0.0f));
}

TEST(KvLayout, Int8RowsWithoutCodes) {
  Cache cache({KvFormat::int8, 1, 16});
  std::vector<float> row(16, 0.0f), read(16);
  write_tokens(cache.view, 0, 1, row.data(), row.data());
  read_key(cache.view, 0, 0, read.data());
  EXPECT_EQ(read, row);
  row[3] = 1e-40f;  // 127 / absmax overflows
  write_tokens(cache.view, 1, 1, row.data(), row.data());
  read_key(cache.view, 1, 0, read.data());
  EXPECT_EQ(read, std::vector<float>(16, 0.0f));
  row[3] = kNan;
  write_tokens(cache.view, 2, 1, row.data(), row.data());
  read_value(cache.view, 2, 0, read.data());
  EXPECT_TRUE(std::ranges::all_of(read, [](float x) { return std::isnan(x); }));
}

TEST(KvLayout, DroppedTokensAreRefused) {
  Cache cache({KvFormat::f32, 1, 16});
  cache.view.first = 16;
  std::vector<float> row(16);
  EXPECT_THROW(read_key(cache.view, 15, 0, row.data()), InternalError);
  EXPECT_THROW(read_key(cache.view, 48, 0, row.data()), InternalError);
}

}  // namespace
}  // namespace plimsoll::kv
