// Random attention problems in a GPU's paged cache, with the oracle's answers. For tests and
// benchmarks only.
#pragma once

#include <algorithm>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "core/cuda/memory_cuda.h"
#include "kernels/attention/attention_cases.h"
#include "kernels/attention_prefill/attention_prefill_cuda.h"
#include "kv/device_kv_cuda.h"

namespace plimsoll::kernels::cases {

struct DeviceShape {
  std::int64_t heads = 1;
  std::int64_t kv_heads = 1;
  std::int64_t head_dim = 64;
  std::int64_t window = 0;
  kv::KvFormat format = kv::KvFormat::fp16;
};

/// Sequences whose last `new_rows` tokens are the batch's rows.
struct SequenceLength {
  std::int64_t length = 1;
  std::int64_t rows = 1;
};

/// Every sequence's problem on the host, and the same bytes in blocks of the device in another
/// order; NaN wherever no token was written, and in `out`. Queries are exact in 16 bits.
struct DeviceCase {
  DeviceShape shape;
  std::vector<SequenceLength> sequences;
  std::vector<std::unique_ptr<AttentionCase>> hosts;
  std::int64_t rows = 0;
  cuda::Buffer codes, scales, tables, lines, positions, q, out;
  kv::DeviceKv kv;
  std::vector<PrefillSpan> spans;

  DeviceCase(const DeviceShape& shape_of, std::vector<SequenceLength> lengths,
             std::uint64_t seed = 1)
      : shape(shape_of), sequences(std::move(lengths)) {
    std::vector<float> queries;
    std::vector<std::int32_t> line_of, position_of;
    hosts.reserve(sequences.size());
    for (const SequenceLength& sequence : sequences) {
      const AttentionShape of{shape.heads,     shape.kv_heads, shape.head_dim, sequence.rows,
                              sequence.length, true,           shape.window};
      hosts.push_back(std::make_unique<AttentionCase>(of, shape.format, Compute::exact, true,
                                                      seed + 10 * hosts.size()));
      AttentionCase& host = *hosts.back();
      for (float& value : host.q) value = to_float(to_bf16(value));
      queries.insert(queries.end(), host.q.begin(), host.q.end());
      for (std::int64_t i = 0; i < sequence.rows; ++i) {
        line_of.push_back(static_cast<std::int32_t>(hosts.size() - 1));
        position_of.push_back(static_cast<std::int32_t>(sequence.length - sequence.rows + i));
      }
    }
    rows = static_cast<std::int64_t>(line_of.size());
    fill();
    lines = cuda::Buffer::of<std::int32_t>(line_of, "a test");
    positions = cuda::Buffer::of<std::int32_t>(position_of, "a test");
    q = cuda::Buffer::of<float>(queries, "a test");
    out = cuda::Buffer(queries.size() * sizeof(float), "a test");
    out.fill(0xff);
    kv.sequences = lines.data<std::int32_t>();
    kv.positions = positions.data<std::int32_t>();
  }

  /// What attention_prefill() and attention_eager() take; spans are the sequences'. No scratch.
  DevicePrefillArgs prefill() {
    spans.clear();
    spans.reserve(sequences.size());
    std::int64_t row = 0;
    for (const SequenceLength& sequence : sequences) {
      spans.push_back({row, sequence.rows});
      row += sequence.rows;
    }
    DevicePrefillArgs args;
    args.q = q.data<float>();
    args.q_stride = width();
    args.heads = shape.heads;
    args.scale = hosts[0]->args.scale;
    args.window = shape.window;
    args.kv = kv;
    args.out = out.data<float>();
    args.spans = spans;
    args.max_length = max_length();
    return args;
  }

  std::int64_t width() const { return shape.heads * shape.head_dim; }
  std::int64_t max_length() const {
    std::int64_t longest = 0;
    for (const SequenceLength& sequence : sequences) longest = std::max(longest, sequence.length);
    return longest;
  }

  /// The oracle's [rows, heads, head_dim].
  std::vector<float> expected() {
    std::vector<float> all;
    for (const auto& host : hosts) {
      host->clear();
      attention_ref(host->args);
      all.insert(all.end(), host->out.begin(), host->out.end());
    }
    return all;
  }
  std::vector<float> actual() const {
    std::vector<float> values(out.bytes() / sizeof(float));
    out.download(values.data(), out.bytes(), 0);
    return values;
  }

 private:
  void fill() {
    const kv::KvLayout layout{shape.format, shape.kv_heads, shape.head_dim};
    std::int64_t stride = 1;
    std::int64_t blocks = 0;
    for (const auto& host : hosts) {
      const auto count = static_cast<std::int64_t>(host->table.size());
      stride = std::max(stride, count);
      blocks += count;
    }
    std::vector<unsigned char> bytes(static_cast<std::size_t>(blocks * layout.block_bytes()), 0xff);
    const auto scale_count = static_cast<std::size_t>(blocks * layout.block_scales());
    std::vector<float> all_scales(2 * scale_count, std::numeric_limits<float>::quiet_NaN());
    std::vector<std::int32_t> table(hosts.size() * static_cast<std::size_t>(stride), -1);
    std::int64_t next = blocks;  // from the last block on
    for (std::size_t s = 0; s < hosts.size(); ++s) {
      const kv::KvView& view = hosts[s]->args.kv;
      for (std::int64_t token = view.first; token < view.length; ++token) {
        std::int32_t& block =
            table[s * static_cast<std::size_t>(stride) + static_cast<std::size_t>(token / 16)];
        if (block < 0) block = static_cast<std::int32_t>(--next);
        for (std::int64_t head = 0; head < shape.kv_heads; ++head) {
          write(layout, view, token, head, block, bytes.data(), all_scales.data(), scale_count);
        }
      }
    }
    codes = cuda::Buffer::of<unsigned char>(bytes, "a test");
    scales = cuda::Buffer::of<float>(all_scales, "a test");
    tables = cuda::Buffer::of<std::int32_t>(table, "a test");
    kv.layout = layout;
    kv.keys = codes.data();
    kv.values = codes.data() + layout.part_bytes();
    kv.key_scales = scales.data<float>();
    kv.value_scales = scales.data<float>() + scale_count;
    kv.tables = tables.data<std::int32_t>();
    kv.table_stride = static_cast<std::int32_t>(stride);
  }

  static void write(const kv::KvLayout& layout, const kv::KvView& view, std::int64_t token,
                    std::int64_t head, std::int64_t block, unsigned char* bytes, float* scales,
                    std::size_t scale_count) {
    const auto slot = static_cast<int>(token % kv::kBlockTokens);
    const auto padded = static_cast<int>(layout.padded_dim());
    std::vector<float> row(static_cast<std::size_t>(padded), 0.0f);
    for (const bool key : {true, false}) {
      (key ? kv::read_key : kv::read_value)(view, token, head, row.data());
      float scale = 1;
      if (layout.format == kv::KvFormat::int8) {
        const float* from = key ? view.key_scales : view.value_scales;
        scale = from[view.table[token / kv::kBlockTokens] * layout.block_scales() +
                     head * kv::kBlockTokens + slot];
        scales[(key ? 0 : scale_count) + static_cast<std::size_t>(block * layout.block_scales() +
                                                                  head * kv::kBlockTokens + slot)] =
            scale;
      }
      unsigned char* part = bytes + block * layout.block_bytes() + (key ? 0 : layout.part_bytes()) +
                            head * layout.head_bytes();
      for (int e = 0; e < padded; ++e) {
        // The padding of values stays as it is.
        if (!key && e >= layout.head_dim) break;
        const int at = kv::device_offset(layout.format, padded, key, slot, e);
        store(layout.format, part, at, row[static_cast<std::size_t>(e)], scale);
      }
    }
  }

  static void store(kv::KvFormat format, unsigned char* part, int at, float value, float scale) {
    const auto put = [&](auto typed) {
      std::memcpy(part + static_cast<std::size_t>(at) * sizeof typed, &typed, sizeof typed);
    };
    switch (format) {
      case kv::KvFormat::f32:
        return put(value);
      case kv::KvFormat::bf16:
        return put(to_bf16(value));
      case kv::KvFormat::fp16:
        return put(to_fp16(value));
      case kv::KvFormat::int8:
        return put(static_cast<std::int8_t>(scale == 0 ? 0 : std::nearbyint(value / scale)));
    }
  }
};

/// How far an output may be off when all weights of a softmax are off by `unit` relative to
/// themselves, and f32's rounding besides: values are normal, the largest of some thousands
/// below 6.
inline float attention_bound(kv::KvFormat format) {
  const float unit = format == kv::KvFormat::bf16  ? 0x1p-8f
                     : format == kv::KvFormat::f32 ? 0
                                                   : 0x1p-11f;
  return 3 * unit + 2e-5f;
}

}  // namespace plimsoll::kernels::cases
