#include "eval/fluency.h"

#include <gtest/gtest.h>

#include <vector>

namespace plimsoll {
namespace {

using Ids = std::vector<std::int32_t>;

// "a b a b c": 3 of 5 words; ab, ba, ab, bc: 3 of 4 pairs; abab, babc: no 4-gram twice.
TEST(Fluency, CountedByHand) {
  const Fluency result = fluency(Ids{7, 9, 7, 9, 2});
  EXPECT_DOUBLE_EQ(*result.distinct_1, 3.0 / 5);
  EXPECT_DOUBLE_EQ(*result.distinct_2, 3.0 / 4);
  EXPECT_DOUBLE_EQ(*result.repetition, 0);
}

TEST(Fluency, ALoopRepeatsItself) {
  // abc three times: abca bcab cabc abca bcab cabc, of which the last three are not new.
  const Fluency loop = fluency(Ids{1, 2, 3, 1, 2, 3, 1, 2, 3});
  EXPECT_DOUBLE_EQ(*loop.distinct_1, 3.0 / 9);
  EXPECT_DOUBLE_EQ(*loop.distinct_2, 3.0 / 8);
  EXPECT_DOUBLE_EQ(*loop.repetition, 3.0 / 6);
  const Fluency one_token = fluency(Ids(104, 5));
  EXPECT_DOUBLE_EQ(*one_token.distinct_1, 1.0 / 104);
  EXPECT_DOUBLE_EQ(*one_token.repetition, 100.0 / 101);
}

TEST(Fluency, AllDifferent) {
  const Fluency result = fluency(Ids{-1, 0, 1, 2, 3});
  EXPECT_DOUBLE_EQ(*result.distinct_1, 1);
  EXPECT_DOUBLE_EQ(*result.distinct_2, 1);
  EXPECT_DOUBLE_EQ(*result.repetition, 0);
}

TEST(Fluency, NothingIsSaidOfTooFewTokens) {
  EXPECT_FALSE(fluency(Ids{}).distinct_1);
  EXPECT_TRUE(fluency(Ids{4}).distinct_1);
  EXPECT_FALSE(fluency(Ids{4}).distinct_2);
  EXPECT_FALSE(fluency(Ids{4, 5, 6}).repetition);
}

}  // namespace
}  // namespace plimsoll
