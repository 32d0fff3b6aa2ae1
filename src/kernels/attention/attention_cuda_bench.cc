// Attention with Mistral-7B's heads (32 of queries, 8 of keys and values, 128 wide), as a graph of
// 32 dependent launches, a layer each, over caches that no L2 holds.
#include "kernels/attention/attention_cuda_bench.h"

#include <algorithm>
#include <string>
#include <vector>

#include "core/cuda/device.h"
#include "core/rng.h"
#include "kernels/attention/device_cases_cuda.h"
#include "kernels/attention_decode/attention_decode_cuda.h"
#include "kernels/attention_eager/attention_eager_cuda.h"
#include "kernels/attention_prefill/attention_prefill_cuda.h"
#include "kernels/choose_token/choose_token_cuda.h"
#include "kernels/cuda/graph_timing_cuda.h"
#include "kernels/rope/append_kv_cuda.h"
#include "kv/kv_format.h"

namespace plimsoll::kernels {

namespace {

using kv::KvFormat;

constexpr std::int64_t kHeads = 32;
constexpr std::int64_t kKvHeads = 8;
constexpr std::int64_t kHeadDim = 128;
constexpr std::int64_t kStride = (kHeads + 2 * kKvHeads) * kHeadDim;
constexpr std::int64_t kLayers = 32;
/// Of all layers' caches; the 60 MB of an H200's L2 are little beside it.
constexpr std::int64_t kMostCache = std::int64_t{24} << 30;

/// `rows` sequences of the same length, in as many layers as there is room for.
struct Batch {
  kv::KvLayout layout;
  std::int64_t rows, length, layers;
  std::int64_t pool;  // bytes of a layer
  cuda::Buffer codes, scales, tables, positions, qkv, out, frequencies, scratch;

  Batch(KvFormat format, std::int64_t rows_of, std::int64_t length_of)
      : layout{format, kKvHeads, kHeadDim}, rows(rows_of), length(length_of) {
    const std::int64_t blocks = (length + kv::kBlockTokens - 1) / kv::kBlockTokens;
    pool = rows * blocks * layout.block_bytes();
    layers = std::clamp<std::int64_t>(kMostCache / pool, 1, kLayers);
    codes = cuda::Buffer(static_cast<std::size_t>(layers * pool), "the benchmark");
    codes.fill(0x1c);  // small numbers in every format
    scales = cuda::Buffer(
        static_cast<std::size_t>(2 * rows * blocks * layout.block_scales()) * sizeof(float),
        "the benchmark");
    scales.fill(0x1c);
    std::vector<std::int32_t> table(static_cast<std::size_t>(rows * blocks));
    for (std::size_t i = 0; i < table.size(); ++i) {
      // Neighbours in the sequence are none in memory.
      table[i] = static_cast<std::int32_t>((i * 7919) % table.size());
    }
    tables = cuda::Buffer::of<std::int32_t>(table, "the benchmark");
    positions = cuda::Buffer::of<std::int32_t>(
        std::vector<std::int32_t>(static_cast<std::size_t>(rows),
                                  static_cast<std::int32_t>(length - 1)),
        "the benchmark");
    qkv = cuda::Buffer::of<float>(cases::normal_values(rows * kStride, 1), "the benchmark");
    out = cuda::Buffer(static_cast<std::size_t>(rows * kHeads * kHeadDim) * sizeof(float),
                       "the benchmark");
    frequencies = cuda::Buffer::of<float>(cases::normal_values(kHeadDim / 2, 2), "the benchmark");
    scratch = cuda::Buffer(attention_decode_scratch(rows, kHeads, kHeadDim), "the benchmark");
    scratch.fill(0);
  }

  /// Keys and values that a layer reads, as the format counts them.
  double bytes() const {
    const double element = static_cast<double>(layout.element_bytes());
    const double scale = layout.format == KvFormat::int8 ? 4 : 0;
    return static_cast<double>(2 * rows * length * kKvHeads) * (kHeadDim * element + scale);
  }

  kv::DeviceKv cache(std::int64_t layer) const {
    kv::DeviceKv kv;
    kv.layout = layout;
    kv.keys = codes.data() + layer % layers * pool;
    kv.values = kv.keys + layout.part_bytes();
    kv.key_scales = scales.data<float>();
    kv.value_scales = scales.data<float>() + scales.bytes() / 8;
    kv.tables = tables.data<std::int32_t>();
    kv.table_stride = static_cast<std::int32_t>((length + kv::kBlockTokens - 1) / kv::kBlockTokens);
    kv.positions = positions.data<std::int32_t>();
    return kv;
  }

  DeviceDecodeArgs decode(std::int64_t layer, bool appending) const {
    DeviceDecodeArgs args;
    args.q = qkv.data<float>();
    args.q_stride = kStride;
    args.rows = rows;
    args.heads = kHeads;
    args.scale = 0.0884f;
    args.kv = cache(layer);
    args.out = out.data<float>();
    args.max_length = length;
    args.k = appending ? args.q + kHeads * kHeadDim : nullptr;
    args.v = args.q + (kHeads + kKvHeads) * kHeadDim;
    args.frequencies = frequencies.data<float>();
    args.scratch = scratch.data();
    args.dependent = layer > 0;
    return args;
  }
};

bool verified(KvFormat format) {
  const cases::DeviceShape shape{kHeads, kKvHeads, kHeadDim, 0, format};
  cases::DeviceCase c(shape, {{1, 1}, {33, 1}, {600, 1}});
  cuda::Buffer scratch(attention_decode_scratch(c.rows, kHeads, kHeadDim), "the benchmark");
  scratch.fill(0);
  DeviceDecodeArgs args;
  args.q = c.q.data<float>();
  args.q_stride = c.width();
  args.rows = c.rows;
  args.heads = kHeads;
  args.scale = c.hosts[0]->args.scale;
  args.kv = c.kv;
  args.out = c.out.data<float>();
  args.max_length = c.max_length();
  args.scratch = scratch.data();
  const cuda::Stream stream;
  attention_decode(args, stream.get());
  stream.synchronize();
  const std::vector<float> expected = c.expected();
  const std::vector<float> actual = c.actual();
  float error = 0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const float off = std::fabs(actual[i] - expected[i]);
    error = off <= error ? error : off;  // NaN too
  }
  std::printf("%s: differs from the oracle by %.1e at most\n",
              std::string(kv::kv_format_name(format)).c_str(), static_cast<double>(error));
  return error <= cases::attention_bound(format);
}

void bench_decode(KvFormat format, std::int64_t rows, std::int64_t length, double ceiling) {
  const Batch batch(format, rows, length);
  const cuda::Stream stream;
  const auto time = [&](bool appending) {
    return time_graph(
        stream,
        [&] {
          for (std::int64_t layer = 0; layer < kLayers; ++layer) {
            const DeviceDecodeArgs args = batch.decode(layer, appending);
            if (!appending) {
              append_kv({batch.qkv.data<float>(), args.q + kHeads * kHeadDim, args.v, kStride, rows,
                         kHeads, args.frequencies, args.kv, layer > 0},
                        stream.get());
            }
            attention_decode(args, stream.get());
          }
        },
        batch.bytes() > 1e9 ? 5 : 21);
  };
  const std::string what =
      std::to_string(rows) + " rows, " + std::to_string(length) + " keys, 32 layers";
  print_timing(what, time(true), batch.bytes() * kLayers * 1e-9, "GB/s", ceiling);
  if (rows == 1) {
    print_timing(what + ", append apart", time(false), batch.bytes() * kLayers * 1e-9, "GB/s",
                 ceiling);
  }
}

/// Random keys and values of the first layer, +-0.5 to 2: equal ones take less power, so that the
/// clock stays higher.
void randomise(Batch& batch) {
  const KvFormat format = batch.layout.format;
  const std::uint64_t kept = format == KvFormat::bf16   ? 0x80ff
                             : format == KvFormat::fp16 ? 0x87ff
                                                        : 0xffff;
  const std::uint64_t set = format == KvFormat::bf16   ? 0x3f00
                            : format == KvFormat::fp16 ? 0x3800
                                                       : 0x0101;
  std::vector<std::uint16_t> values(static_cast<std::size_t>(batch.pool) / 2);
  Rng rng(5);
  for (std::uint16_t& value : values) value = static_cast<std::uint16_t>((rng.next() & kept) | set);
  batch.codes.upload(values.data(), values.size() * 2, 0);
}

void bench_prefill(KvFormat format, std::int64_t length) {
  Batch batch(format, 1, length);
  randomise(batch);
  std::vector<std::int32_t> positions(static_cast<std::size_t>(length));
  for (std::size_t i = 0; i < positions.size(); ++i) positions[i] = static_cast<std::int32_t>(i);
  const cuda::Buffer position_buffer = cuda::Buffer::of<std::int32_t>(positions, "the benchmark");
  cuda::Buffer lines(positions.size() * 4, "the benchmark");
  lines.fill(0);
  const cuda::Buffer q =
      cuda::Buffer::of<float>(cases::normal_values(length * kHeads * kHeadDim, 3), "the benchmark");
  const cuda::Buffer out(q.bytes(), "the benchmark");
  const PrefillSpan span{0, length};
  DevicePrefillArgs args;
  args.q = q.data<float>();
  args.q_stride = kHeads * kHeadDim;
  args.heads = kHeads;
  args.scale = 0.0884f;
  args.kv = batch.cache(0);
  args.kv.positions = position_buffer.data<std::int32_t>();
  args.kv.sequences = lines.data<std::int32_t>();
  args.out = out.data<float>();
  args.spans = {&span, 1};
  args.max_length = length;
  const cuda::Stream stream;
  const double flops = 2.0 * kHeads * kHeadDim * static_cast<double>(length * length);
  const std::string what = "prefill of " + std::to_string(length);
  const int repeats = length < 1000 ? 21 : 7;
  const auto time = [&](auto&& enqueue) { return time_graph(stream, enqueue, repeats); };
  print_timing(what, time([&] { attention_prefill(args, stream.get()); }), flops * 1e-12, "TFLOP/s",
               990);
  const cuda::Buffer workspace(attention_eager_workspace(args.kv.layout, kHeads, length, length),
                               "the benchmark");
  print_timing(what + ", eager",
               time([&] { attention_eager(args, workspace.data(), stream.get()); }), flops * 1e-12,
               "TFLOP/s", 990);
}

void bench_choice(std::int64_t rows, std::int64_t vocabulary) {
  const cuda::Buffer logits =
      cuda::Buffer::of<float>(cases::normal_values(rows * vocabulary, 4), "the benchmark");
  const cuda::Buffer ids(static_cast<std::size_t>(rows) * 4, "the benchmark");
  cuda::Buffer scratch(choose_token_scratch(rows), "the benchmark");
  scratch.fill(0);
  DeviceChooseArgs args;
  args.logits = logits.data<float>();
  args.stride = vocabulary;
  args.rows = rows;
  args.vocabulary = vocabulary;
  args.ids = ids.data<std::int32_t>();
  args.scratch = scratch.data();
  const cuda::Stream stream;
  print_timing("32 choices of " + std::to_string(rows) + " in " + std::to_string(vocabulary),
               time_graph(stream,
                          [&] {
                            for (int i = 0; i < 32; ++i) choose_token(args, stream.get());
                          }),
               32 * static_cast<double>(logits.bytes()) * 1e-9, "GB/s", 1);
}

}  // namespace

int bench_attention(double ceiling, bool prefill_only) {
  for (const KvFormat format : {KvFormat::fp16, KvFormat::int8, KvFormat::bf16}) {
    if (!verified(format)) {
      std::printf("  NOT TIMED\n");
      return 1;
    }
    for (const std::int64_t rows : {1, 16, 64}) {
      for (const std::int64_t length : {32, 512, 4096, 32768}) {
        if (format != KvFormat::bf16 && !prefill_only) bench_decode(format, rows, length, ceiling);
      }
    }
    for (const std::int64_t length : {2, 16, 128, 512, 2048, 4096, 8192}) {
      bench_prefill(format, length);
    }
  }
  if (prefill_only) return 0;
  bench_choice(1, 32000);
  bench_choice(64, 32000);
  return 0;
}

}  // namespace plimsoll::kernels
