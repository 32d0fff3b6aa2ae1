#include "core/huge_pages.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace plimsoll {
namespace {

// From smaller than a small page to larger than what shares, past the end of a chunk, twice: with
// the first ones still there, and with all of them gone.
TEST(HugePages, TensorsThatShareThemLieApart) {
  for (int round = 0; round < 2; ++round) {
    std::vector<Tensor> tensors;
    for (int repeat = 0; repeat < 6; ++repeat) {
      for (const std::int64_t mib : {0, 1, 5, 20, 33}) {
        tensors.push_back(empty_on_shared_huge_pages(DType::u8, {(mib << 20) + 4097}));
      }
      tensors.push_back(empty_on_shared_huge_pages(DType::u8, {repeat}));
    }
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      const auto bytes = tensors[i].span<std::uint8_t>();
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(bytes.data()) % 64, 0u);
      if (bytes.empty()) continue;
      bytes.front() = bytes.back() = static_cast<std::uint8_t>(i);
    }
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      const auto bytes = tensors[i].span<std::uint8_t>();
      if (bytes.empty()) continue;
      EXPECT_EQ(bytes.front(), i);
      EXPECT_EQ(bytes.back(), i);
      for (std::size_t other = 0; other < i; ++other) {
        const auto before = tensors[other].span<std::uint8_t>();
        EXPECT_TRUE(bytes.data() >= before.data() + before.size() ||
                    before.data() >= bytes.data() + bytes.size());
      }
    }
  }
}

}  // namespace
}  // namespace plimsoll
