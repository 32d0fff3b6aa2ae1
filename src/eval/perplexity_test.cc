#include "eval/perplexity.h"

#include <gtest/gtest.h>

#include <cmath>

#include "model/load_model.h"
#include "storage/safetensors.h"
#include "support/support.h"
#include "text/tokenizer.h"

namespace plimsoll {
namespace {

// mean_nll of the golden files: the mean next-token loss over both rows, in float64, elsewhere.
TEST(Perplexity, AgreesWithTheReferenceLoss) {
  for (const char* name : {"mistral-tiny", "gpt2-tiny"}) {
    const auto model = load_model(test::golden(name).string());
    const auto expected =
        SafetensorsFile::open(test::golden(std::string(name) + "/expected.safetensors"));
    const Tensor stored = expected.tensor("input_ids");
    const std::vector<std::int32_t> ids(stored.data<std::int64_t>(),
                                        stored.data<std::int64_t>() + stored.size());
    ScoreOptions options;
    options.protocol = completed({Protocol::blocks, stored.dim(1), 0}, 96);
    const Perplexity result = perplexity(*model, {}, ids, options);
    EXPECT_EQ(result.tokens_scored, 2 * (stored.dim(1) - 1));
    EXPECT_NEAR(result.nll, expected.tensor("mean_nll").data<double>()[0], 1e-5) << name;
    EXPECT_DOUBLE_EQ(result.ppl, std::exp(result.nll));
  }
}

TEST(Perplexity, OfTheDemoOnTreasureIslandToFourDecimals) {
  PLIMSOLL_SHARED_OR_SKIP("data/treasure-island.txt");
#ifdef PLIMSOLL_SLOW_BUILD
  GTEST_SKIP() << "takes minutes with sanitizers or without optimisation";
#endif
  const auto model = load_model(test::source_path("models/demo").string());
  const auto tokenizer = Tokenizer::load(test::source_path("models/demo"));
  const auto ids = tokenizer->encode(test::read_file(test::shared("data/treasure-island.txt")));
  ASSERT_EQ(ids.size(), 122669u);
  ScoreOptions options;
  options.protocol = completed({Protocol::blocks, 512, 0}, 2048);
  const Perplexity blocks = perplexity(*model, {}, ids, options);
  EXPECT_EQ(blocks.tokens_scored, 122129);
  EXPECT_NEAR(blocks.nll, 3.54846, 5e-5);
  options.protocol = completed({Protocol::hf_strided, 1024, 512}, 2048);
  EXPECT_NEAR(perplexity(*model, {}, ids, options).nll, 3.50167, 5e-5);
}

}  // namespace
}  // namespace plimsoll
