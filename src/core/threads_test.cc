#include "core/threads.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <vector>

namespace plimsoll {
namespace {

class Threads : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override { set_threads(GetParam()); }
  void TearDown() override { set_threads(0); }
};

TEST_P(Threads, FreePiecesCoverEachIndexOnce) {
  for (const std::int64_t count : {0, 1, 2, 7, 64, 65, 1000}) {
    for (const std::int64_t grain : {1, 2, 3, 32, 999, 5000}) {
      std::vector<std::atomic<int>> seen(static_cast<std::size_t>(count));
      std::atomic<bool> too_long = false;
      parallel_for_free(count, grain, [&](std::int64_t begin, std::int64_t end) {
        if (begin >= end || end - begin > grain) too_long = true;
        for (std::int64_t i = begin; i < end; ++i) ++seen[static_cast<std::size_t>(i)];
      });
      EXPECT_FALSE(too_long) << count << " by " << grain;
      for (const auto& times : seen) ASSERT_EQ(times, 1) << count << " by " << grain;
    }
  }
}

TEST_P(Threads, AnExceptionOfAPieceIsThrownHere) {
  const auto fails_late = [](std::int64_t, std::int64_t end) {
    if (end == 100) throw std::runtime_error("last piece");
  };
  EXPECT_THROW(parallel_for_free(100, 3, fails_late), std::runtime_error);
  EXPECT_THROW(parallel_for(100, 3, fails_late), std::runtime_error);
}

// LeakSanitizer takes what libomp holds of larger teams for a leak.
INSTANTIATE_TEST_SUITE_P(Teams, Threads, ::testing::Values(1, 2, 3));

}  // namespace
}  // namespace plimsoll
