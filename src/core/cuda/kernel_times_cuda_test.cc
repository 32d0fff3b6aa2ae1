#include <gtest/gtest.h>

#include <chrono>

#include "core/cuda/kernel_times.h"
#include "core/cuda/memory_cuda.h"
#include "support/cuda.h"

namespace plimsoll::cuda {
namespace {

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

TEST(KernelTimesCuda, WhatRanWhileItRecorded) {
  PLIMSOLL_GPU_OR_SKIP();
  if (const Support support = kernel_times_available(); !support) GTEST_SKIP() << support.reason;
  constexpr std::size_t kBytes = std::size_t{256} << 20;
  Buffer a(kBytes, "a test");
  const Buffer b(kBytes, "a test");
  const Stream stream;
  a.fill(1);                              // before
  for (int turn = 0; turn < 2; ++turn) {  // it can be started again
    start_kernel_times();
    const std::int64_t before = now_ns();
    for (int i = 0; i < 3; ++i) {
      PLIMSOLL_CUDA_CHECK(
          cudaMemcpyAsync(b.data(), a.data(), kBytes, cudaMemcpyDeviceToDevice, stream.get()));
    }
    const std::vector<KernelRun> runs = stop_kernel_times();
    const std::int64_t after = now_ns();
    ASSERT_EQ(runs.size(), 3U);
    // Both clocks are one, within what the GPU's is behind the host's.
    constexpr std::int64_t kSkew = 1'000'000;
    EXPECT_GT(runs.front().begin_ns, before - kSkew);
    EXPECT_LT(runs.back().begin_ns + runs.back().duration_ns, after + kSkew);
    for (std::size_t i = 0; i < runs.size(); ++i) {
      EXPECT_EQ(runs[i].name, "copy");
      EXPECT_GT(runs[i].duration_ns, 10'000);  // 512 MB in 10 us would be 50 TB/s
      if (i == 0) continue;
      EXPECT_GE(runs[i].begin_ns, runs[i - 1].begin_ns + runs[i - 1].duration_ns);
    }
    a.fill(2);  // between
  }
}

}  // namespace
}  // namespace plimsoll::cuda
