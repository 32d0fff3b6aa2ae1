#include "cli/int_list.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "support/support.h"

namespace plimsoll::cli {
namespace {

using Ints = std::vector<std::int64_t>;

Ints parsed(const std::vector<std::string>& texts) {
  return parse_int_list(texts, "-p", 0, 100000);
}

TEST(IntList, ListsRangesAndRepeats) {
  EXPECT_EQ(parsed({"512"}), (Ints{512}));
  EXPECT_EQ(parsed({"0,1,8"}), (Ints{0, 1, 8}));
  EXPECT_EQ(parsed({"1-4"}), (Ints{1, 2, 3, 4}));
  EXPECT_EQ(parsed({"128-512+128"}), (Ints{128, 256, 384, 512}));
  EXPECT_EQ(parsed({"1-9+4"}), (Ints{1, 5, 9}));
  EXPECT_EQ(parsed({"1-8+4"}), (Ints{1, 5}));
  EXPECT_EQ(parsed({"1-16*2"}), (Ints{1, 2, 4, 8, 16}));
  EXPECT_EQ(parsed({"3-20*2"}), (Ints{3, 6, 12}));
  EXPECT_EQ(parsed({"7,1-4*2", "64"}), (Ints{7, 1, 2, 4, 64}));
  EXPECT_EQ(parsed({"5-5*2"}), (Ints{5}));
  EXPECT_EQ(parsed({"1-9+9223372036854775807"}), (Ints{1}));  // no overflow
  EXPECT_EQ(parsed({}), Ints{});
}

TEST(IntList, SaysWhatIsWrong) {
  for (const char* bad :
       {"", ",", "1,", "a", "-1", "1-", "1-2+", "1-2+0", "1-2*1", "1-2*0", "0-8*2", "4-1", "1-2-3",
        "1-2/2", "1.5", "1 ,2", "99999999999999999999"}) {
    EXPECT_EQ(test::message_of<InputError>([&] { parsed({bad}); }),
              fmt::format("-p: list: found \"{}\", expected numbers and ranges FIRST-LAST, "
                          "FIRST-LAST+STEP or FIRST-LAST*FACTOR, separated by commas",
                          bad));
  }
  EXPECT_EQ(test::message_of<InputError>([] { parse_int_list({"1,0"}, "--batch", 1, 64); }),
            "--batch: value: found 0, expected 1 to 64");
  EXPECT_EQ(test::message_of<InputError>([] { parsed({"1-100000"}); }),
            "-p: list: found more than 1000 values, expected at most 1000");
}

TEST(WordList, SplitsAtCommas) {
  EXPECT_EQ(parse_word_list({"int8,nf4-dq", "bf16"}, "--weights"),
            (std::vector<std::string>{"int8", "nf4-dq", "bf16"}));
  EXPECT_THROW(parse_word_list({"int8,"}, "--weights"), InputError);
}

}  // namespace
}  // namespace plimsoll::cli
