#include "study/fit.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "model/load_model.h"
#include "support/fake_device.h"
#include "support/support.h"

namespace plimsoll::study {
namespace {

const ModelConfig kMistral = load_config("shape:mistral-7b");

Variant variant(const char* name) {
  return variant_from_name(name, kv::KvFormat::f32);
}

TEST(Fit, CountsWhatTheShapeSays) {
  const MemoryNeed bf16 = memory_need(kMistral, variant("bf16+sdpa"), {}, 1024);
  EXPECT_NEAR(static_cast<double>(bf16.weights), 7.24e9 * 2, 0.02e9);
  // 32 layers, 8 heads of 128, keys and values in fp32.
  EXPECT_EQ(bf16.kv, 32 * 2 * 8 * 128 * 4 * std::int64_t{1024});
  // At least the embedding in fp32, while it is loaded.
  EXPECT_GE(bf16.workspace, 32000 * 4096 * std::int64_t{4});
  const MemoryNeed nf4 = memory_need(kMistral, variant("nf4-dq+sdpa"), {}, 1024);
  EXPECT_LT(nf4.weights, bf16.weights / 3);
  ops::Context context;
  context.prefill_chunk = 2048;  // by itself it follows this machine's caches
  const MemoryNeed eager = memory_need(kMistral, variant("bf16+eager"), context, 16384);
  const MemoryNeed sdpa = memory_need(kMistral, variant("bf16+sdpa"), context, 16384);
  EXPECT_GT(eager.workspace, sdpa.workspace);
}

TEST(Fit, OnAGpuWhatItsKernelsWorkInCounts) {
  test::FakeDevice device;
  ops::Context context;
  context.device = &device;
  const MemoryNeed need = memory_need(kMistral, variant("bf16+sdpa"), context, 4096);
  // Chunks of 2,048; gate and up as one are the widest product.
  const std::int64_t activations = 2048 * (3 * 4096 + 2 * 14336 + 2 * 40 * 128) + 32000;
  EXPECT_EQ(need.workspace, 4 * activations + 2048 * 2 * 14336);
  // Scores in fp32 and weights in 16 bits.
  EXPECT_EQ(memory_need(kMistral, variant("bf16+eager"), context, 4096).workspace,
            need.workspace + 6 * 32 * 2048 * std::int64_t{4096});
  ModelConfig tied = kMistral;  // whose table is held once
  tied.tie_word_embeddings = true;
  EXPECT_EQ(memory_need(tied, variant("bf16+sdpa"), context, 4096).workspace, need.workspace);
}

TEST(Fit, ALimitIsKept) {
  const MemoryNeed need{1000, 200, 34};
  EXPECT_FALSE(why_not(need, {}, std::nullopt));
  EXPECT_FALSE(why_not(need, {}, 1234));
  EXPECT_EQ(why_not(need, {}, 1233), "needs 1.23 kB, --memory-limit allows 1.23 kB");
}

TEST(Fit, WhenNoneFitsItSaysWhichWould) {
  const auto said = [](std::int64_t limit, const char* name = "bf16+sdpa") {
    return plimsoll::test::message_of<InputError>(
        [&] { refuse_all("shape:mistral-7b", kMistral, {variant(name)}, {}, 1024, limit); });
  };
  const std::string none = said(1'000'000'000);
  EXPECT_NE(none.find("no variant fits the memory: bf16+sdpa needs 15."), std::string::npos)
      << none;
  const std::size_t at = none.find("none would, ");
  ASSERT_NE(at, std::string::npos) << none;
  // The least of all itself does not fit: nothing is said twice.
  const std::size_t begin = at + std::string("none would, ").size();
  const std::string least = none.substr(begin, none.find(' ', begin) - begin);
  EXPECT_TRUE(said(1'000'000'000, least.c_str()).ends_with("; none of any format would"))
      << said(1'000'000'000, least.c_str());
}

}  // namespace
}  // namespace plimsoll::study
