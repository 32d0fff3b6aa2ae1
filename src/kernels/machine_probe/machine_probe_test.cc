#include "kernels/machine_probe/machine_probe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "core/rng.h"

namespace plimsoll::kernels {
namespace {

template <class Args>
std::vector<KernelVariant<Args>> runnable(std::span<const KernelVariant<Args>> variants) {
  std::vector<KernelVariant<Args>> result;
  for (const auto& variant : variants) {
    if (variant.available()) result.push_back(variant);
  }
  return result;
}

TEST(MachineProbe, ReadsEveryWordOnce) {
  constexpr std::int64_t kWords = 8 * 8 * 3 * 7;  // whole lines for 1 to 8 streams
  Rng rng(1);
  struct alignas(64) Line {
    std::uint64_t words[8];
  };
  std::vector<Line> lines(kWords / 8);
  std::uint64_t expected = 0;
  for (Line& line : lines) {
    for (std::uint64_t& word : line.words) expected ^= (word = rng.next());
  }
  std::uint64_t* words = lines.front().words;
  int cases = 0;
  for (const auto& variant : runnable(read_probes())) {
    for (const int streams : {1, 2, 3, 4, 8}) {
      std::uint64_t checksum = 0;
      const ReadArgs args{words, kWords, streams, &checksum};
      variant.run(args);
      EXPECT_EQ(checksum, expected) << variant.name << ", " << streams << " streams";
      // One bit more anywhere must be seen: a word left out would hide it.
      const std::int64_t at = (cases * 97) % kWords;
      words[at] ^= 4;
      variant.run(args);
      EXPECT_EQ(checksum, expected ^ 4) << variant.name << ", " << streams << " streams";
      words[at] ^= 4;
      ++cases;
    }
  }
  EXPECT_GE(cases, 5);
}

/// Products of one instruction, by the register's width and the element's.
struct Unit {
  const char* name;
  std::int64_t products;
};

void expect_products(std::span<const KernelVariant<DotArgs>> variants,
                     const std::vector<Unit>& units) {
  for (const auto& variant : runnable(variants)) {
    const auto unit = std::find_if(units.begin(), units.end(),
                                   [&](const Unit& u) { return variant.name == u.name; });
    ASSERT_NE(unit, units.end()) << variant.name;
    for (const std::int64_t iterations : {0, 1, 1000}) {
      std::int64_t products = -1;
      variant.run({iterations, &products});
      EXPECT_EQ(products, iterations * kProbeAccumulators * unit->products) << variant.name;
    }
  }
}

TEST(MachineProbe, DoesEveryProductItCounts) {
  expect_products(fp32_probes(),
                  {{"fp32_probe_avx512", 16}, {"fp32_probe_avx2", 8}, {"fp32_probe_scalar", 1}});
  expect_products(bf16_probes(), {{"bf16_probe_avx512", 32}});
  expect_products(int8_probes(),
                  {{"int8_probe_avx512", 64}, {"int8_probe_avx2", 32}, {"int8_probe_scalar", 1}});
}

}  // namespace
}  // namespace plimsoll::kernels
