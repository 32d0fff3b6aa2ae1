#include "kernels/rope/append_kv_cuda.h"

#include <gtest/gtest.h>

#include "kernels/attention/device_cases_cuda.h"
#include "kernels/rope/rope.h"
#include "support/cuda.h"

namespace plimsoll::kernels {
namespace {

using kv::KvFormat;

constexpr std::int64_t kHeads = 6;
constexpr std::int64_t kKvHeads = 3;

/// A cache of one line of tables a row, each row at a position of its own, far ones too.
struct Problem {
  std::vector<std::int64_t> positions{0, 15, 16, 40, 100'003};
  std::int64_t rows = static_cast<std::int64_t>(positions.size());
  std::int64_t head_dim;
  std::int64_t stride;
  KvFormat format;
  std::vector<float> values;       // [rows][heads + 2 kv_heads, head_dim]
  std::vector<float> frequencies;  // empty: no rotation

  Problem(std::int64_t head_dim_of, KvFormat format_of, bool rotated)
      : head_dim(head_dim_of),
        stride((kHeads + 2 * kKvHeads) * head_dim_of),
        format(format_of),
        values(cases::normal_values(rows * stride, 3)) {
    if (rotated) frequencies.reserve(static_cast<std::size_t>(head_dim / 2));
    for (std::int64_t i = 0; rotated && i < head_dim / 2; ++i) {
      frequencies.push_back(static_cast<float>(
          std::pow(10'000.0, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim))));
    }
    std::fill_n(values.begin() + (kHeads + kKvHeads) * head_dim, head_dim, 0.0f);  // a zero value
  }

  /// Row r rotated by the CPU's kernels: queries and keys.
  std::vector<float> rotated(std::int64_t r) const {
    std::vector<float> row(values.begin() + r * stride,
                           values.begin() + r * stride + (kHeads + kKvHeads) * head_dim);
    if (frequencies.empty()) return row;
    std::vector<float> cosine(frequencies.size());
    std::vector<float> sine(frequencies.size());
    rope_angles(&positions[static_cast<std::size_t>(r)], 1, frequencies.data(), head_dim / 2,
                cosine.data(), sine.data());
    rope({row.data(), 1, kHeads + kKvHeads, head_dim, cosine.data(), sine.data()});
    return row;
  }
};

float decode(KvFormat format, const unsigned char* part, int at, float scale) {
  const auto get = [&](auto typed) {
    std::memcpy(&typed, part + static_cast<std::size_t>(at) * sizeof typed, sizeof typed);
    return typed;
  };
  switch (format) {
    case KvFormat::f32:
      return get(float{});
    case KvFormat::bf16:
      return to_float(get(bf16{}));
    case KvFormat::fp16:
      return to_float(get(fp16{}));
    case KvFormat::int8:
      return static_cast<float>(get(std::int8_t{})) * scale;
  }
  return 0;
}

/// Half a step of the format at `value`, which rotation's last bit may turn into one step.
float step_of(KvFormat format, float value, float scale) {
  switch (format) {
    case KvFormat::f32:
      return 1e-6f;
    case KvFormat::bf16:
      return 1e-6f + std::fabs(value) * 0x1p-8f;
    case KvFormat::fp16:
      return 1e-6f + std::fabs(value) * 0x1p-11f;
    case KvFormat::int8:
      return 1e-6f + 0.501f * scale;
  }
  return 0;
}

void expect_oracle(const Problem& p) {
  const kv::KvLayout layout{p.format, kKvHeads, p.head_dim};
  const auto rows = static_cast<std::size_t>(p.rows);
  // Row r's block is r, at entry position / 16 of its line.
  const std::int32_t table_stride = 100'003 / 16 + 1;
  std::vector<std::int32_t> table(rows * static_cast<std::size_t>(table_stride), -1);
  std::vector<std::int32_t> positions;
  positions.reserve(rows);
  for (std::size_t r = 0; r < rows; ++r) {
    positions.push_back(static_cast<std::int32_t>(p.positions[r]));
    table[r * static_cast<std::size_t>(table_stride) +
          static_cast<std::size_t>(positions[r] / 16)] = static_cast<std::int32_t>(r);
  }
  const cuda::Buffer codes(rows * static_cast<std::size_t>(layout.block_bytes()), "a test");
  const std::size_t scale_count = rows * static_cast<std::size_t>(layout.block_scales());
  const cuda::Buffer scales(2 * scale_count * sizeof(float), "a test");
  cuda::Buffer input = cuda::Buffer::of<float>(p.values, "a test");
  const cuda::Buffer tables = cuda::Buffer::of<std::int32_t>(table, "a test");
  const cuda::Buffer position_buffer = cuda::Buffer::of<std::int32_t>(positions, "a test");
  const cuda::Buffer frequencies = cuda::Buffer::of<float>(p.frequencies, "a test");
  DeviceAppendArgs args;
  args.q = input.data<float>();
  args.k = args.q + kHeads * p.head_dim;
  args.v = args.k + kKvHeads * p.head_dim;
  args.stride = p.stride;
  args.rows = p.rows;
  args.heads = kHeads;
  args.frequencies = frequencies.data<float>();
  args.kv.layout = layout;
  args.kv.keys = codes.data();
  args.kv.values = codes.data() + layout.part_bytes();
  args.kv.key_scales = scales.data<float>();
  args.kv.value_scales = scales.data<float>() + scale_count;
  args.kv.tables = tables.data<std::int32_t>();
  args.kv.table_stride = table_stride;
  args.kv.positions = position_buffer.data<std::int32_t>();
  const cuda::Stream stream;
  append_kv(args, stream.get());
  stream.synchronize();
  std::vector<float> after(p.values.size());
  input.download(after.data(), input.bytes(), 0);
  std::vector<unsigned char> bytes(codes.bytes());
  codes.download(bytes.data(), bytes.size(), 0);
  std::vector<float> all_scales(2 * scale_count);
  scales.download(all_scales.data(), scales.bytes(), 0);

  for (std::int64_t r = 0; r < p.rows; ++r) {
    const std::vector<float> row = p.rotated(r);
    for (std::int64_t i = 0; i < kHeads * p.head_dim; ++i) {
      ASSERT_NEAR(after[static_cast<std::size_t>(r * p.stride + i)],
                  row[static_cast<std::size_t>(i)], 2e-6f)
          << "query element " << i << " of row " << r;
    }
    const auto slot = static_cast<int>(p.positions[static_cast<std::size_t>(r)] % 16);
    const auto padded = static_cast<int>(layout.padded_dim());
    for (std::int64_t head = 0; head < kKvHeads; ++head) {
      for (const bool key : {true, false}) {
        const float* of_head =
            key ? row.data() + (kHeads + head) * p.head_dim
                : p.values.data() + r * p.stride + (kHeads + kKvHeads + head) * p.head_dim;
        const std::int64_t scale_at = r * layout.block_scales() + head * 16 + slot;
        float scale = 1;
        if (p.format == KvFormat::int8) {
          scale = all_scales[(key ? 0 : scale_count) + static_cast<std::size_t>(scale_at)];
          float largest = 0;
          for (std::int64_t e = 0; e < p.head_dim; ++e)
            largest = std::max(largest, std::fabs(of_head[e]));
          ASSERT_NEAR(scale, largest / 127, largest * 1e-6f);
        }
        const unsigned char* part = bytes.data() + r * layout.block_bytes() +
                                    (key ? 0 : layout.part_bytes()) + head * layout.head_bytes();
        for (int e = 0; e < padded; ++e) {
          const float expected = e < p.head_dim ? of_head[e] : 0;
          const int at = kv::device_offset(p.format, padded, key, slot, e);
          ASSERT_NEAR(decode(p.format, part, at, scale), expected,
                      step_of(p.format, expected, scale))
              << "format " << static_cast<int>(p.format) << ", head dim " << p.head_dim
              << (key ? ", key" : ", value") << " element " << e << " of row " << r;
        }
      }
    }
  }
}

TEST(AppendKvCuda, EveryFormatAndHeadDim) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const KvFormat format : {KvFormat::f32, KvFormat::bf16, KvFormat::fp16, KvFormat::int8}) {
    for (const std::int64_t head_dim : {8, 64, 72, 128, 256}) {
      expect_oracle(Problem(head_dim, format, true));
      expect_oracle(Problem(head_dim, format, false));
    }
  }
}

}  // namespace
}  // namespace plimsoll::kernels
