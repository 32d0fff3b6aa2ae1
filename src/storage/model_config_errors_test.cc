#include "core/error.h"
#include "storage/json.h"
#include "storage/model_config.h"
#include "support/support.h"

namespace plimsoll {
namespace {

struct BadField {
  std::string folder;
  std::string field;
  std::string value;     // JSON
  std::string expected;  // behind "config.json: "
};

class BadFields : public ::testing::TestWithParam<BadField> {};

TEST_P(BadFields, AreNamed) {
  const BadField& bad = GetParam();
  Json config = read_json_file(test::golden(bad.folder) / "config.json");
  config[bad.field] = Json::parse(bad.value);
  EXPECT_EQ(test::message_of<InputError>([&] { parse_model_config(config.dump(), "config.json"); }),
            "config.json: " + bad.expected);
}

constexpr const char* kCount = "expected an integer from 1 to 2147483648";

INSTANTIATE_TEST_SUITE_P(
    ModelConfig, BadFields,
    ::testing::Values(
        BadField{"llama-tiny", "model_type", "3", "model_type: found 3, expected a string"},
        BadField{"llama-tiny", "vocab_size", "0", fmt::format("vocab_size: found 0, {}", kCount)},
        BadField{"llama-tiny", "vocab_size", "null",
                 fmt::format("vocab_size: found nothing, {}", kCount)},
        BadField{"llama-tiny", "hidden_size", "-64",
                 fmt::format("hidden_size: found -64, {}", kCount)},
        BadField{"llama-tiny", "hidden_size", "64.0",
                 fmt::format("hidden_size: found 64.0, {}", kCount)},
        BadField{"llama-tiny", "hidden_size", R"("64")",
                 fmt::format("hidden_size: found \"64\", {}", kCount)},
        BadField{"llama-tiny", "intermediate_size", "9223372036854775808",
                 fmt::format("intermediate_size: found 9223372036854775808, {}", kCount)},
        BadField{"llama-tiny", "num_hidden_layers", "4097",
                 "num_hidden_layers: found 4097, expected an integer from 1 to 4096"},
        BadField{"llama-tiny", "num_attention_heads", "0",
                 fmt::format("num_attention_heads: found 0, {}", kCount)},
        BadField{"llama-tiny", "num_key_value_heads", "3",
                 "num_key_value_heads: found 3, expected a divisor of the 4 of "
                 "num_attention_heads"},
        BadField{"qwen2-tiny", "hidden_size", "66",
                 "hidden_size: found 66, expected a multiple of the 4 of num_attention_heads, as "
                 "there is no head_dim"},
        BadField{"qwen2-tiny", "hidden_size", "2048", "head_dim: found 512, expected at most 256"},
        BadField{"llama-tiny", "head_dim", "15",
                 "head_dim: found 15, expected an even number: rotary positions turn pairs"},
        BadField{"llama-tiny", "head_dim", "258",
                 "head_dim: found 258, expected an integer from 1 to 256"},
        BadField{"llama-tiny", "max_position_embeddings", "0",
                 fmt::format("max_position_embeddings: found 0, {}", kCount)},
        BadField{"llama-tiny", "rms_norm_eps", "0",
                 "rms_norm_eps: found 0, expected a number "
                 "above 0"},
        BadField{"llama-tiny", "rms_norm_eps", "-1e-6",
                 "rms_norm_eps: found -1e-06, expected a number from 0 to 1"},
        BadField{"llama-tiny", "tie_word_embeddings", "0",
                 "tie_word_embeddings: found 0, expected true or false"},
        BadField{"llama-tiny", "quantization_config", "[]",
                 "quantization_config: found an array of 0, expected an object"},
        BadField{"mistral-tiny", "sliding_window", "0",
                 fmt::format("sliding_window: found 0, {}", kCount)},
        BadField{"gpt2-tiny", "n_embd", "63",
                 "n_embd: found 63, expected a multiple of the 2 of n_head"},
        BadField{"gpt2-tiny", "n_embd", "1024", "head_dim: found 512, expected at most 256"},
        BadField{"gpt2-tiny", "n_layer", "null",
                 "n_layer: found nothing, expected an integer from 1 to 4096"},
        BadField{"gpt2-tiny", "n_inner", "0", fmt::format("n_inner: found 0, {}", kCount)}));

TEST(ModelConfig, NamesTheFileThatIsNoConfig) {
  EXPECT_EQ(test::message_of<InputError>([] { parse_model_config("[]", "c.json"); }),
            "c.json: JSON: found an array of 0, expected an object");
  EXPECT_EQ(test::message_of<InputError>([] { parse_model_config("{", "c.json"); }),
            "c.json: JSON: found a syntax error at line 1, column 2, expected valid JSON in UTF-8");
  const test::TemporaryFolder folder;
  EXPECT_EQ(test::message_of<InputError>([&] { load_model_config(folder.path()); }),
            (folder.path() / "config.json").string() + ": cannot open: No such file or directory");
}

TEST(ModelConfigClass, AnotherFamilysOrAClassifiersIsRefused) {
  const std::string config = test::read_file(test::golden("llama-tiny") / "config.json");
  for (const char* name : {"MistralForCausalLM", "LlamaForSequenceClassification"}) {
    std::string changed = config;
    const std::string_view old = "LlamaForCausalLM";
    changed.replace(changed.find(old), old.size(), name);
    EXPECT_EQ(
        test::message_of<InputError>([&] { parse_model_config(changed, "config.json"); })
            .find(fmt::format(
                "config.json: architectures: found \"{}\", expected \"LlamaForCausalLM\"", name)),
        0u);
  }
}

}  // namespace
}  // namespace plimsoll
