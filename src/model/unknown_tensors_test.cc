#include "model/unknown_tensors.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "model/load_model.h"
#include "storage/atomic_file.h"
#include "support/support.h"

namespace plimsoll {
namespace {

TEST(UnknownTensors, ALayerTooManyOrADeniedBiasIsRefusedByName) {
  const auto message = [](const char* source,
                          const std::vector<std::pair<std::string, std::string>>& changes) {
    const test::TemporaryFolder folder;
    std::filesystem::copy(test::golden(source), folder.path() / "m");
    std::string config = test::read_file(folder.path() / "m/config.json");
    for (const auto& [from, to] : changes) {
      const std::size_t at = config.find(from);
      if (at == std::string::npos) ADD_FAILURE() << from;
      config.replace(at, from.size(), to);
    }
    std::filesystem::permissions(folder.path() / "m/config.json",
                                 std::filesystem::perms::owner_all);
    test::write_file(folder.path() / "m/config.json", config);
    return test::message_of<InputError>([&] { load_model((folder.path() / "m").string()); });
  };
  EXPECT_NE(message("llama-tiny", {{"\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1"}})
                .find("model.layers.1.input_layernorm.weight: found a tensor that the model in "
                      "config.json does not have"),
            std::string::npos);
  EXPECT_NE(
      message("qwen2-tiny", {{"\"qwen2\"", "\"llama\""}, {"Qwen2ForCausalLM", "LlamaForCausalLM"}})
          .find("k_proj.bias"),
      std::string::npos);
}

TEST(UnknownTensors, EveryGoldenCheckpointIsKnownThroughout) {
  for (const auto& entry : std::filesystem::directory_iterator(test::golden(""))) {
    if (!std::filesystem::exists(entry.path() / "config.json")) continue;
    EXPECT_NO_THROW(load_model(entry.path().string())) << entry.path();
  }
}

}  // namespace
}  // namespace plimsoll
