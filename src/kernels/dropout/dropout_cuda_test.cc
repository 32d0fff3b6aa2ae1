#include "kernels/dropout/dropout_cuda.h"

#include <gtest/gtest.h>

#include "core/rng.h"
#include "support/cuda.h"
#include "support/finite_difference.h"
#include "support/on_device.h"

namespace plimsoll::kernels {
namespace {

TEST(DropoutCuda, LeavesOutWhatTheCpusGeneratorDraws) {
  PLIMSOLL_GPU_OR_SKIP();
  constexpr std::size_t kRows = 9;
  constexpr std::size_t kWidth = 1300;
  constexpr std::uint64_t kSeed = 0x123456789abcdefULL;
  const std::vector<float> x = test::random_floats(kRows * kWidth, 1);
  const std::vector<float> before = test::random_floats(kRows * kWidth, 2);
  const cuda::Buffer x_buffer = test::uploaded(x);
  for (const double share : {0.0, 0.1, 0.75}) {
    const cuda::Buffer y = test::poisoned<float>(x.size());
    const cuda::Buffer sum = test::uploaded(before);
    DeviceDropoutArgs args{x_buffer.data<float>(), kRows, kWidth, share, kSeed, y.data<float>()};
    const cuda::Stream stream;
    dropout(args, stream.get());
    args.y = sum.data<float>();
    add_dropout(args, stream.get());
    stream.synchronize();
    const std::vector<float> kept = test::downloaded<float>(y);
    const std::vector<float> added = test::downloaded<float>(sum);
    for (std::size_t row = 0; row < kRows; ++row) {
      Rng rng(kSeed, row);
      for (std::size_t i = row * kWidth; i < (row + 1) * kWidth; ++i) {
        const float scale = rng.uniform() < share ? 0.0f : static_cast<float>(1 / (1 - share));
        ASSERT_EQ(kept[i], scale * x[i]) << "share " << share << ", element " << i;
        ASSERT_NEAR(added[i], before[i] + scale * x[i], 2e-6);
      }
    }
  }
}

}  // namespace
}  // namespace plimsoll::kernels
