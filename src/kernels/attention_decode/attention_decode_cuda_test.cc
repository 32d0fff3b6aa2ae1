#include "kernels/attention_decode/attention_decode_cuda.h"

#include <gtest/gtest.h>

#include "kernels/attention/device_cases_cuda.h"
#include "kernels/rope/append_kv_cuda.h"
#include "support/cuda.h"

namespace plimsoll::kernels {
namespace {

using cases::DeviceCase;
using cases::DeviceShape;
using kv::KvFormat;

constexpr KvFormat kFormats[] = {KvFormat::f32, KvFormat::bf16, KvFormat::fp16, KvFormat::int8};

/// Scratch of its own, zero.
cuda::Buffer make_scratch(const DeviceCase& c) {
  cuda::Buffer scratch(attention_decode_scratch(c.rows, c.shape.heads, c.shape.head_dim), "a test");
  scratch.fill(0);
  return scratch;
}

DeviceDecodeArgs args_of(const DeviceCase& c, const cuda::Buffer& scratch) {
  DeviceDecodeArgs args;
  args.q = c.q.data<float>();
  args.q_stride = c.width();
  args.rows = c.rows;
  args.heads = c.shape.heads;
  args.scale = c.hosts[0]->args.scale;
  args.window = c.shape.window;
  args.kv = c.kv;
  args.out = c.out.data<float>();
  args.max_length = c.max_length();
  args.scratch = scratch.data();
  return args;
}

void expect_oracle(const DeviceShape& shape, std::vector<cases::SequenceLength> sequences) {
  DeviceCase c(shape, std::move(sequences));
  const cuda::Buffer scratch = make_scratch(c);
  const cuda::Stream stream;
  const std::vector<float> expected = c.expected();
  // Twice: the second finds the scratch memory as the first left it.
  for (int turn = 0; turn < 2; ++turn) {
    c.out.fill(0xff);
    attention_decode(args_of(c, scratch), stream.get());
    stream.synchronize();
    const std::vector<float> actual = c.actual();
    for (std::size_t i = 0; i < actual.size(); ++i) {
      ASSERT_LE(std::fabs(actual[i] - expected[i]), cases::attention_bound(shape.format))
          << "format " << static_cast<int>(shape.format) << ", head dim " << shape.head_dim
          << ", heads " << shape.heads << "/" << shape.kv_heads << ", window " << shape.window
          << ", first length " << c.sequences[0].length << ", turn " << turn << ": output " << i
          << " is " << actual[i] << ", expected " << expected[i];
    }
  }
}

TEST(AttentionDecodeCuda, EveryFormatAndHeadDim) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const KvFormat format : kFormats) {
    for (const std::int64_t head_dim : {8, 64, 72, 80, 96, 128, 200, 256}) {
      expect_oracle({4, 2, head_dim, 0, format}, {{37, 1}, {1, 1}, {300, 1}});
    }
  }
}

TEST(AttentionDecodeCuda, EveryNumberOfHeadsOfAKvHead) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const KvFormat format : kFormats) {
    for (const std::int64_t group : {1, 2, 7, 8, 9, 20}) {
      expect_oracle({2 * group, 2, 64, 0, format}, {{150, 1}, {20, 1}});
    }
  }
}

TEST(AttentionDecodeCuda, LengthsOnBothSidesOfEveryBorder) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const KvFormat format : kFormats) {
    expect_oracle({2, 1, 64, 0, format}, {{1, 1},
                                          {15, 1},
                                          {16, 1},
                                          {17, 1},
                                          {63, 1},
                                          {64, 1},
                                          {65, 1},
                                          {127, 1},
                                          {128, 1},
                                          {129, 1},
                                          {255, 1},
                                          {256, 1},
                                          {257, 1},
                                          {2048, 1}});
  }
  // Beyond 31 splits of one block a warp: 31 x 8 blocks, or 31 x 4 over f32; and twice as many.
  for (const KvFormat format : {KvFormat::f32, KvFormat::fp16}) {
    expect_oracle({1, 1, 64, 0, format},
                  {{1984, 1}, {1985, 1}, {3968, 1}, {3969, 1}, {7936, 1}, {7937, 1}, {20000, 1}});
  }
}

TEST(AttentionDecodeCuda, Windows) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const KvFormat format : kFormats) {
    for (const std::int64_t window : {1, 16, 100, 129, 1000}) {
      expect_oracle({4, 2, 64, window, format},
                    {{1, 1}, {16, 1}, {100, 1}, {130, 1}, {700, 1}, {1111, 1}, {3000, 1}});
    }
  }
}

TEST(AttentionDecodeCuda, SeveralRowsOfASequence) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const KvFormat format : kFormats) {
    for (const std::int64_t window : {0, 50}) {
      expect_oracle({4, 2, 64, window, format}, {{5, 5}, {200, 3}, {131, 20}});
    }
  }
}

std::vector<float> run(DeviceCase& c, const DeviceDecodeArgs& args) {
  c.out.fill(0xff);
  const cuda::Stream stream;
  attention_decode(args, stream.get());
  stream.synchronize();
  return c.actual();
}

TEST(AttentionDecodeCuda, NeitherTheLaunchNorOtherRowsChangeABit) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const KvFormat format : kFormats) {
    const DeviceShape shape{8, 2, 128, 0, format};
    DeviceCase c(shape, {{1500, 1}, {40, 1}, {333, 1}});
    const cuda::Buffer scratch = make_scratch(c);
    DeviceDecodeArgs args = args_of(c, scratch);
    const std::vector<float> first = run(c, args);
    args.dependent = false;
    args.max_length = 30000;
    EXPECT_EQ(first, run(c, args));
    // The second row alone.
    args.rows = 1;
    args.max_length = 40;
    args.q += c.width();
    args.kv.positions += 1;
    args.kv.sequences += 1;
    const std::vector<float> alone = run(c, args);
    EXPECT_TRUE(std::equal(alone.begin(), alone.begin() + c.width(), first.begin() + c.width()));
  }
}

/// Queries, keys and values of new tokens as rows of one product.
struct NewTokens {
  std::int64_t stride;
  cuda::Buffer rows;
  const float* q;
  const float* k;
  const float* v;
  explicit NewTokens(const DeviceCase& c)
      : stride((c.shape.heads + 2 * c.shape.kv_heads) * c.shape.head_dim),
        rows(cuda::Buffer::of<float>(cases::normal_values(c.rows * stride, 99), "a test")),
        q(rows.data<float>()),
        k(q + c.width()),
        v(k + c.shape.kv_heads * c.shape.head_dim) {}
};

TEST(AttentionDecodeCuda, AppendingItselfIsAppendingBefore) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const KvFormat format : kFormats) {
    for (const bool rotated : {true, false}) {
      const DeviceShape shape{12, 1, 80, 0, format};  // two groups of queries of one KV head
      const auto frequency_values = cases::normal_values(shape.head_dim / 2, 5);
      const cuda::Buffer frequencies = cuda::Buffer::of<float>(frequency_values, "a test");
      std::vector<std::vector<float>> outputs;
      std::vector<std::vector<unsigned char>> caches;
      outputs.reserve(2);
      caches.reserve(2);
      for (const bool itself : {true, false}) {
        DeviceCase c(shape, {{1, 1}, {16, 1}, {17, 1}, {500, 1}});
        const NewTokens tokens(c);
        const cuda::Buffer scratch = make_scratch(c);
        DeviceDecodeArgs args = args_of(c, scratch);
        args.q = tokens.q;
        args.q_stride = tokens.stride;
        if (itself) {
          args.k = tokens.k;
          args.v = tokens.v;
          args.frequencies = rotated ? frequencies.data<float>() : nullptr;
        } else {
          const cuda::Stream stream;
          append_kv({tokens.rows.data<float>(), tokens.k, tokens.v, tokens.stride, c.rows,
                     shape.heads, rotated ? frequencies.data<float>() : nullptr, c.kv},
                    stream.get());
          stream.synchronize();
        }
        outputs.push_back(run(c, args));
        caches.emplace_back(c.codes.bytes());
        c.codes.download(caches.back().data(), c.codes.bytes(), 0);
      }
      EXPECT_EQ(outputs[0], outputs[1]);
      EXPECT_EQ(caches[0], caches[1]);
    }
  }
}

// Each kernel reads what the one before wrote, and few blocks leave room for the next at once:
// without its wait a kernel would read too early.
TEST(AttentionDecodeCuda, AChainOfDependentLaunchesReadsWhatWasWritten) {
  PLIMSOLL_GPU_OR_SKIP();
  constexpr std::size_t kLinks = 30;
  std::vector<std::vector<float>> results;
  results.reserve(2);
  for (const bool dependent : {false, true}) {
    DeviceCase c({4, 2, 64, 0, KvFormat::fp16}, {{200, 1}, {1000, 1}});
    const cuda::Buffer scratch = make_scratch(c);
    std::vector<cuda::Buffer> links;
    links.reserve(kLinks + 1);
    for (std::size_t i = 0; i <= kLinks; ++i) {
      links.push_back(
          cuda::Buffer::of<float>(cases::normal_values(c.rows * c.width(), 7), "a test"));
    }
    const cuda::Stream stream;
    const cuda::Graph graph = cuda::Graph::capture(stream, [&] {
      for (std::size_t i = 0; i < kLinks; ++i) {
        DeviceDecodeArgs args = args_of(c, scratch);
        args.q = links[i].data<float>();
        args.k = args.q;
        args.v = args.q + 2 * c.shape.head_dim;
        args.out = links[i + 1].data<float>();
        args.dependent = dependent && i > 0;
        attention_decode(args, stream.get());
      }
    });
    graph.launch(stream);
    graph.launch(stream);
    stream.synchronize();
    results.emplace_back(static_cast<std::size_t>(c.rows * c.width()));
    links.back().download(results.back().data(), links.back().bytes(), 0);
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_TRUE(std::isfinite(results[0][0]));
}

}  // namespace
}  // namespace plimsoll::kernels
