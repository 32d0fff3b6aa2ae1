#include "kernels/attention_prefill/attention_prefill_cuda.h"

#include <gtest/gtest.h>

#include "kernels/attention/device_cases_cuda.h"
#include "kernels/attention_decode/attention_decode_cuda.h"
#include "support/cuda.h"

namespace plimsoll::kernels {
namespace {

using cases::DeviceCase;
using cases::DeviceShape;
using kv::KvFormat;

constexpr KvFormat kFormats[] = {KvFormat::f32, KvFormat::bf16, KvFormat::fp16, KvFormat::int8};

std::vector<float> run(DeviceCase& c) {
  cuda::Buffer scratch(
      attention_decode_scratch(kPrefillScratchRows, c.shape.heads, c.shape.head_dim), "a test");
  scratch.fill(0);
  DevicePrefillArgs args = c.prefill();
  args.scratch = scratch.data();
  c.out.fill(0xff);
  const cuda::Stream stream;
  attention_prefill(args, stream.get());
  stream.synchronize();
  return c.actual();
}

void expect_oracle(const DeviceShape& shape, std::vector<cases::SequenceLength> sequences) {
  DeviceCase c(shape, std::move(sequences));
  const std::vector<float> expected = c.expected();
  const std::vector<float> actual = run(c);
  for (std::size_t i = 0; i < actual.size(); ++i) {
    ASSERT_LE(std::fabs(actual[i] - expected[i]), cases::attention_bound(shape.format))
        << "format " << static_cast<int>(shape.format) << ", head dim " << shape.head_dim
        << ", heads " << shape.heads << "/" << shape.kv_heads << ", window " << shape.window
        << ", first length " << c.sequences[0].length << ": output " << i << " is " << actual[i]
        << ", expected " << expected[i];
  }
}

TEST(AttentionPrefillCuda, EveryFormatAndHeadDim) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const KvFormat format : kFormats) {
    for (const std::int64_t head_dim : {8, 56, 64, 72, 80, 96, 120, 128, 200, 256}) {
      expect_oracle({4, 2, head_dim, 0, format}, {{100, 100}, {1, 1}, {150, 30}});
    }
  }
}

TEST(AttentionPrefillCuda, LengthsOnBothSidesOfEveryBorder) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const KvFormat format : kFormats) {
    for (const std::int64_t head_dim : {64, 128}) {
      expect_oracle({3, 1, head_dim, 0, format}, {{15, 15},
                                                  {16, 16},
                                                  {17, 17},
                                                  {63, 63},
                                                  {64, 64},
                                                  {65, 65},
                                                  {127, 127},
                                                  {128, 128},
                                                  {129, 129},
                                                  {300, 300},
                                                  {128, 64},
                                                  {129, 64},
                                                  {200, 1},
                                                  {500, 70}});
    }
  }
}

TEST(AttentionPrefillCuda, Windows) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const KvFormat format : kFormats) {
    for (const std::int64_t window : {1, 16, 50, 130}) {
      expect_oracle({2, 1, 64, window, format}, {{200, 200}, {400, 90}});
      expect_oracle({2, 1, 128, window, format}, {{400, 150}});
    }
  }
}

TEST(AttentionPrefillCuda, SaysWhichKernelItTakes) {
  PLIMSOLL_GPU_OR_SKIP();
  const auto kernel = [](KvFormat format, std::int64_t head_dim, bool as_decode = false) {
    const PrefillChoice choice = choose_prefill({format, 2, head_dim}, as_decode);
    EXPECT_GT(std::string_view(choice.reason).size(), 0u);
    return std::string_view(choice.kernel);
  };
  EXPECT_EQ(kernel(KvFormat::f32, 128), "attention_decode_cuda");
  EXPECT_EQ(kernel(KvFormat::fp16, 128, true), "attention_decode_cuda");
  EXPECT_EQ(kernel(KvFormat::int8, 128), "attention_prefill_cuda");
  EXPECT_EQ(kernel(KvFormat::fp16, 256), "attention_prefill_cuda");
  const bool hopper = cuda::devices()[0].compute_capability / 10 == 9;
  for (const KvFormat format : {KvFormat::fp16, KvFormat::bf16}) {
    for (const std::int64_t head_dim : {56, 64, 80, 96, 120, 128}) {
      EXPECT_EQ(kernel(format, head_dim),
                hopper ? "attention_prefill_sm90_cuda" : "attention_prefill_cuda");
    }
  }
}

// More than one launch's, and more items than multiprocessors.
TEST(AttentionPrefillCuda, ManySequences) {
  PLIMSOLL_GPU_OR_SKIP();
  std::vector<cases::SequenceLength> sequences;
  for (std::int64_t i = 0; i < 70; ++i) sequences.push_back({2 + i, 1 + i % 40});
  expect_oracle({8, 2, 128, 0, KvFormat::fp16}, sequences);
}

// A row's sums do not depend on where the group of rows began that it was computed with.
TEST(AttentionPrefillCuda, ChunksChangeNoBit) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const KvFormat format : {KvFormat::bf16, KvFormat::fp16}) {
    for (const auto& [window, head_dim] : {std::pair{0, 64}, {100, 64}, {0, 128}, {100, 128}}) {
      const DeviceShape shape{2, 1, head_dim, window, format};
      DeviceCase whole(shape, {{300, 300}});
      const std::vector<float> all = run(whole);
      DeviceCase part(shape, {{300, 77}});
      // The same queries: the last ones of all.
      const auto width = static_cast<std::size_t>(whole.width());
      std::vector<float> q(77 * width);
      whole.q.download(q.data(), q.size() * 4, (300 - 77) * width * 4);
      part.q.upload(q.data(), q.size() * 4, 0);
      const std::vector<float> last = run(part);
      EXPECT_TRUE(std::equal(last.begin(), last.end(), all.end() - static_cast<int>(last.size())));
    }
  }
}

}  // namespace
}  // namespace plimsoll::kernels
