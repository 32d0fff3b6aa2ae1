#include "engine/generate.h"

#include <gtest/gtest.h>

#include <numeric>

#include "core/error.h"
#include "model/load_model.h"
#include "support/support.h"
#include "text/tokenizer.h"

namespace plimsoll {
namespace {

// A model trained elsewhere (TinyStories, 260 K parameters) and its greedy text from BOS.
TEST(Generate, ReproducesTheGoldenStory) {
  PLIMSOLL_SHARED_OR_SKIP("real/stories260K");
  const auto folder = test::shared("real/stories260K");
  const auto model = load_model(folder.string());
  const auto tokenizer = Tokenizer::load(folder);
  GenerateOptions options;
  options.max_new_tokens = 200;
  const std::vector<std::int32_t> prompt{1};
  const Generation generation = generate(*model, {}, prompt, options);
  std::string golden = test::read_file(folder / "golden-greedy-200.txt");
  while (golden.ends_with('\n')) golden.pop_back();
  std::string text = tokenizer->decode(generation.ids);
  while (text.ends_with('\n')) text.pop_back();
  EXPECT_EQ(text, golden);
}

class GenerateTiny : public testing::Test {
 protected:
  std::unique_ptr<Model> rope_ = load_model(test::golden("mistral-tiny").string());
  std::unique_ptr<Model> learned_ = load_model(test::golden("gpt2-tiny").string());
  std::vector<std::int32_t> prompt_{5, 6, 7};
};

TEST_F(GenerateTiny, StopsAtLengthAndAtTheCallersWord) {
  GenerateOptions options;
  options.max_new_tokens = 5;
  options.ignore_eos = true;
  EXPECT_EQ(generate(*rope_, {}, prompt_, options).ids.size(), 5u);
  int seen = 0;
  const Generation stopped =
      generate(*rope_, {}, prompt_, options, [&](std::int32_t) { return ++seen < 2; });
  EXPECT_EQ(stopped.ids.size(), 2u);
  EXPECT_EQ(stopped.stop, StopReason::caller);
}

TEST_F(GenerateTiny, LearnedPositionsEndTheText) {
  GenerateOptions options;
  options.max_new_tokens = 500;
  options.ignore_eos = true;
  options.allow_long = true;  // cannot help: there are no more positions
  const Generation generation = generate(*learned_, {}, prompt_, options);
  EXPECT_EQ(generation.ids.size(), 96u - 3 + 1);
  EXPECT_EQ(generation.stop, StopReason::context_full);
}

TEST_F(GenerateTiny, ALongPromptIsRefused) {
  std::vector<std::int32_t> prompt(97, 5);
  EXPECT_EQ(test::message_of<InputError>([&] { generate(*learned_, {}, prompt, {}); }),
            "the prompt: length: found 97 tokens, expected at most 96, the positions that the "
            "model has learned");
  prompt.resize(513, 5);
  GenerateOptions options;
  options.max_new_tokens = 1;
  EXPECT_EQ(test::message_of<InputError>([&] { generate(*rope_, {}, prompt, options); }),
            "the prompt: length: found 513 tokens, expected at most 512, the model's context "
            "(--allow-long goes "
            "beyond it)");
  options.allow_long = true;
  options.ignore_eos = true;
  EXPECT_EQ(generate(*rope_, {}, prompt, options).ids.size(), 1u);
}

TEST_F(GenerateTiny, BadIdsAndAnEmptyPromptAreRefused) {
  const std::vector<std::int32_t> outside{5, 320};
  EXPECT_EQ(test::message_of<InputError>([&] { generate(*rope_, {}, outside, {}); }),
            "the prompt: token id: found 320, expected 0 to 319 (the model's vocabulary)");
  EXPECT_THROW(generate(*rope_, {}, {}, {}), InputError);
}

}  // namespace
}  // namespace plimsoll
