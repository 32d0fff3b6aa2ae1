#include "eval/protocol.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "support/support.h"

namespace plimsoll {
namespace {

TEST(Protocol, BlocksDropTheTailAndScoreAllButTheFirst) {
  const auto windows = windows_of({Protocol::blocks, 512, 512}, 122669, true);
  ASSERT_EQ(windows.size(), 239u);
  std::int64_t scored = 0;
  for (const Window& w : windows) scored += w.end - w.first_scored;
  EXPECT_EQ(scored, 122129);
}

// Every token but the text's first is scored exactly once, each weighted as the documentation's
// loop does.
TEST(Protocol, StridedWindowsScoreEachTokenOnce) {
  for (const std::int64_t tokens : {2, 5, 10, 11, 15, 16, 23}) {
    std::int64_t next = 1;
    double weights = 0;
    std::int64_t count = 0;
    for (const Window& w : windows_of({Protocol::hf_strided, 10, 5}, tokens, true)) {
      EXPECT_EQ(w.first_scored, next);
      EXPECT_LE(w.end - w.begin, 10);
      next = w.end;
      weights += w.weight * static_cast<double>(w.end - w.first_scored);
      ++count;
    }
    EXPECT_EQ(next, tokens);
    EXPECT_DOUBLE_EQ(weights, static_cast<double>(tokens - count));
  }
}

TEST(Protocol, LlamaCppScoresTheSecondHalf) {
  const auto windows = windows_of({Protocol::llama_cpp, 512, 512}, 1030, true);
  ASSERT_EQ(windows.size(), 2u);
  EXPECT_EQ(windows[1].begin, 512);
  EXPECT_EQ(windows[1].first_scored, 512 + 257);  // predicted at position 256 of the window
  EXPECT_EQ(windows[1].end - windows[1].first_scored, 512 - 256 - 1);
  EXPECT_TRUE(windows[1].bos_first);
}

TEST(Protocol, SenselessSettingsAreRefusedByFlag) {
  EXPECT_EQ(test::message_of<InputError>([] {
              completed({Protocol::hf_strided, 100, 100}, 1000);
            }),
            "--stride: tokens: found 100, expected 1 to 99, less than the window");
  EXPECT_EQ(test::message_of<InputError>([] {
              completed({Protocol::blocks, 100, 50}, 1000);
            }),
            "--stride: tokens: found 50, expected none: --protocol blocks has disjoint windows");
  EXPECT_THROW(completed({Protocol::blocks, 1, 0}, 1000), InputError);
  EXPECT_THROW(protocol_from_name("wikitext"), InputError);
  EXPECT_THROW(windows_of({Protocol::blocks, 512, 512}, 511, true), InputError);
  EXPECT_THROW(windows_of({Protocol::llama_cpp, 512, 512}, 1023, true), InputError);
}

}  // namespace
}  // namespace plimsoll
