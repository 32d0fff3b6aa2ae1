#include "storage/atomic_folder.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "support/support.h"

namespace plimsoll {
namespace {

namespace fs = std::filesystem;

class AtomicFolderTest : public testing::Test {
 protected:
  test::TemporaryFolder folder_;
  fs::path partial_ = folder_.path() / "above" / "out.partial";
  fs::path target_ = folder_.path() / "out";
};

TEST_F(AtomicFolderTest, ItIsWholeOrAbsent) {
  {
    const AtomicFolder left(partial_);
    test::write_file(partial_ / "a", "half");
  }
  EXPECT_FALSE(fs::exists(partial_));
  fs::create_directory(target_);  // an empty one may be there
  AtomicFolder whole(partial_);
  test::write_file(partial_ / "a", "all");
  whole.become(target_);
  EXPECT_FALSE(fs::exists(partial_));
  EXPECT_TRUE(fs::exists(target_ / "a"));
}

TEST_F(AtomicFolderTest, WhatAKilledRunLeftIsCleared) {
  fs::create_directories(partial_ / "deep");
  test::write_file(partial_ / "deep" / "a", "half");
  const AtomicFolder folder(partial_);
  EXPECT_TRUE(fs::is_empty(partial_));
}

TEST_F(AtomicFolderTest, TwoRunsCannotHaveTheSame) {
  const AtomicFolder first(partial_);
  test::write_file(partial_ / "a", "half");
  EXPECT_EQ(test::message_of<InputError>([&] { const AtomicFolder second(partial_); }),
            partial_.string() +
                ": output folder: found another run that writes it, expected one run at a time");
  EXPECT_TRUE(fs::exists(partial_ / "a"));
}

TEST_F(AtomicFolderTest, AFolderThatHoldsSomethingIsNotReplaced) {
  AtomicFolder folder(partial_);
  fs::create_directory(target_);
  test::write_file(target_ / "mine", "kept");
  EXPECT_NE(test::message_of<InputError>([&] { folder.become(target_); }), "");
  EXPECT_TRUE(fs::exists(target_ / "mine"));
}

}  // namespace
}  // namespace plimsoll
