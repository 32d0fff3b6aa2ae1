#include "kernels/attention_eager/attention_eager_cuda.h"

#include <gtest/gtest.h>

#include "kernels/attention/device_cases_cuda.h"
#include "support/cuda.h"

namespace plimsoll::kernels {
namespace {

using cases::DeviceCase;
using cases::DeviceShape;
using kv::KvFormat;

void expect_oracle(const DeviceShape& shape, std::vector<cases::SequenceLength> sequences) {
  DeviceCase c(shape, std::move(sequences));
  const std::vector<float> expected = c.expected();
  const DevicePrefillArgs args = c.prefill();
  std::int64_t most = 0;
  for (const cases::SequenceLength& sequence : c.sequences) most = std::max(most, sequence.rows);
  // Poisoned: what is not written must not be read.
  cuda::Buffer workspace(attention_eager_workspace(c.kv.layout, shape.heads, most, args.max_length),
                         "a test");
  workspace.fill(0xff);
  const cuda::Stream stream;
  attention_eager(args, workspace.data(), stream.get());
  stream.synchronize();
  const std::vector<float> actual = c.actual();
  for (std::size_t i = 0; i < actual.size(); ++i) {
    ASSERT_LE(std::fabs(actual[i] - expected[i]), cases::attention_bound(shape.format))
        << "format " << static_cast<int>(shape.format) << ", head dim " << shape.head_dim
        << ", heads " << shape.heads << "/" << shape.kv_heads << ", window " << shape.window
        << ": output " << i << " is " << actual[i] << ", expected " << expected[i];
  }
}

TEST(AttentionEagerCuda, EveryFormatAndHeadDim) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const KvFormat format : {KvFormat::f32, KvFormat::bf16, KvFormat::fp16, KvFormat::int8}) {
    for (const std::int64_t head_dim : {8, 64, 72, 128, 256}) {
      expect_oracle({6, 2, head_dim, 0, format}, {{100, 100}, {1, 1}, {150, 30}, {33, 1}});
    }
  }
}

TEST(AttentionEagerCuda, Windows) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const KvFormat format : {KvFormat::fp16, KvFormat::int8}) {
    for (const std::int64_t window : {1, 16, 50, 130}) {
      expect_oracle({2, 1, 64, window, format}, {{200, 200}, {400, 90}});
    }
  }
}

}  // namespace
}  // namespace plimsoll::kernels
