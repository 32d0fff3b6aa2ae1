#include "core/cuda/open_library.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "support/support.h"

namespace plimsoll::cuda {
namespace {

TEST(OpenLibrary, TakesTheFirstThatIsThere) {
  const std::vector<std::string> names{"libof-no-machine.so.1", "libc.so.6"};
  void* const library = open_library("tests need the C library", names);
  ASSERT_NE(library, nullptr);
  int (*absolute)(int) = nullptr;
  ASSERT_TRUE(find_function(library, absolute, "abs"));
  EXPECT_EQ(absolute(-3), 3);
  EXPECT_FALSE(find_function(library, absolute, "of_no_library"));
  EXPECT_EQ(absolute, nullptr);
}

TEST(OpenLibrary, SaysWhatIsMissing) {
  const std::vector<std::string> names{"libof-no-machine.so.1", "libof-no-machine.so"};
  const std::string message =
      test::message_of<InputError>([&] { open_library("products need cuBLASLt", names); });
  EXPECT_TRUE(message.starts_with("products need cuBLASLt: libof-no-machine.so.1: ")) << message;
  EXPECT_NE(message.find("LD_LIBRARY_PATH"), std::string::npos) << message;
}

}  // namespace
}  // namespace plimsoll::cuda
