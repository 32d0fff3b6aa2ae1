// Adapters of PEFT on our tiny models: logits of PEFT itself, and what is refused.
#include "model/peft_adapter.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "model/load_model.h"
#include "storage/safetensors.h"
#include "support/support.h"

namespace plimsoll {
namespace {

namespace fs = std::filesystem;

constexpr std::array kBases{"mistral-tiny", "gpt2-tiny"};

fs::path adapter_of(const std::string& base) {
  return test::golden(base + "-lora");
}

/// Logits of both rows of the fixture.
Tensor logits_of(const Model& model, const Tensor& ids) {
  kv::BlockPool pool(model.kv_shape(), 2 * (ids.dim(1) + 16));
  kv::Sequence first(pool), second(pool);
  Batch batch;
  const std::vector<std::int32_t> all(ids.data<std::int64_t>(),
                                      ids.data<std::int64_t>() + ids.size());
  const auto length = static_cast<std::size_t>(ids.dim(1));
  batch.add(first, std::span(all).first(length));
  batch.add(second, std::span(all).last(length));
  return model.logits({}, model.forward({}, batch));
}

TEST(PeftAdapter, LogitsAreThoseOfPeft) {
  for (const std::string base : kBases) {
    const auto model = load_model(test::golden(base).string());
    const auto expected = SafetensorsFile::open(adapter_of(base) / "expected.safetensors");
    const Tensor ids = expected.tensor("input_ids"), want = expected.tensor("logits");
    // Without the adapter they are others: what follows proves something.
    EXPECT_GT(test::relative_to_largest(logits_of(*model, ids).span<float>(), want.span<float>()),
              1e-2);
    const std::int64_t bytes = model->weight_bytes();
    attach_adapter(*model, base, load_adapter(adapter_of(base)), 1);
    EXPECT_GT(model->weight_bytes(), bytes);
    EXPECT_LE(test::relative_to_largest(logits_of(*model, ids).span<float>(), want.span<float>()),
              1e-4)
        << base;
  }
}

TEST(PeftAdapter, TwoHalvesAreOne) {
  const auto model = load_model(test::golden("mistral-tiny").string());
  const Adapter adapter = load_adapter(adapter_of("mistral-tiny"));
  attach_adapter(*model, "mistral-tiny", adapter, 0.25f);
  attach_adapter(*model, "mistral-tiny", adapter, 0.75f);
  const auto expected = SafetensorsFile::open(adapter_of("mistral-tiny") / "expected.safetensors");
  EXPECT_LE(test::relative_to_largest(logits_of(*model, expected.tensor("input_ids")).span<float>(),
                                      expected.tensor("logits").span<float>()),
            1e-4);
}

TEST(PeftAdapter, WrittenAsItWasRead) {
  for (const std::string base : kBases) {
    const Adapter adapter = load_adapter(adapter_of(base));
    const test::TemporaryFolder folder;
    save_adapter(folder.path(), adapter.config, adapter.layers);
    EXPECT_EQ(test::read_file(folder.path() / "adapter_model.safetensors"),
              test::read_file(adapter_of(base) / "adapter_model.safetensors"));
    const auto read = [](const fs::path& file) {
      return nlohmann::json::parse(test::read_file(file));
    };
    const auto mine = read(folder.path() / "adapter_config.json");
    const auto theirs = read(adapter_of(base) / "adapter_config.json");
    for (const auto& [key, value] : mine.items()) EXPECT_EQ(value, theirs.at(key)) << key;
  }
}

TEST(PeftAdapter, LayersMayDifferInRankAndScale) {
  for (const bool rank_stabilised : {false, true}) {
    AdapterConfig config{"base", 4, 6, 0, {"q_proj"}};
    config.rank_stabilised = rank_stabilised;
    const auto layer = [](const std::string& module, std::int64_t rank, float scale) {
      return AdapterLayer{module, Tensor::zeros(DType::f32, {rank, 8}),
                          Tensor::zeros(DType::f32, {5, rank}), scale};
    };
    const std::vector<AdapterLayer> layers{
        layer("model.layers.0.q_proj", 4, config.scale(4, 6)),
        layer("model.layers.1.q_proj", 2, config.scale(2, 6)),
        layer("model.layers.2.q_proj", 2, config.scale(2, 7)),
    };
    const test::TemporaryFolder folder;
    save_adapter(folder.path(), config, layers);
    const Adapter read = load_adapter(folder.path());
    EXPECT_EQ(read.config.rank_stabilised, rank_stabilised);
    ASSERT_EQ(read.layers.size(), layers.size());
    for (std::size_t i = 0; i < layers.size(); ++i) {
      EXPECT_EQ(read.layers[i].module, layers[i].module);
      EXPECT_EQ(read.layers[i].a.shape(), layers[i].a.shape());
      EXPECT_EQ(read.layers[i].scale, layers[i].scale);
    }
    const auto json = nlohmann::json::parse(test::read_file(folder.path() / "adapter_config.json"));
    EXPECT_EQ(json["rank_pattern"].size(), 2u);
    EXPECT_EQ(json["alpha_pattern"].size(), 1u);
  }
}

TEST(PeftAdapter, AnotherBaseIsNamed) {
  const auto model = load_model(test::golden("llama-tiny").string());
  for (const std::string base : kBases) {
    const std::string said = test::message_of<InputError>(
        [&] { attach_adapter(*model, "llama-tiny", load_adapter(adapter_of(base)), 1); });
    EXPECT_NE(said.find(base), std::string::npos) << said;
    EXPECT_NE(said.find("llama-tiny"), std::string::npos) << said;
  }
}

TEST(PeftAdapter, OtherKindsAreRefused) {
  const auto original =
      nlohmann::json::parse(test::read_file(adapter_of("gpt2-tiny") / "adapter_config.json"));
  const std::vector<std::pair<std::string, nlohmann::json>> changes{
      {"peft_type", "IA3"},
      {"use_dora", true},
      {"bias", "all"},
      {"r", 0},
      {"r", 8},
      {"lora_alpha", nullptr},
      {"modules_to_save", {"lm_head"}},
      {"rank_pattern", {{"c_.*", 8}}},
      {"rank_pattern", {{"c_fc", 8}}}};
  for (const auto& [field, value] : changes) {
    const test::TemporaryFolder folder;
    fs::copy(adapter_of("gpt2-tiny"), folder.path(), fs::copy_options::overwrite_existing);
    auto changed = original;
    changed[field] = value;
    fs::remove(folder.path() / "adapter_config.json");
    test::write_file(folder.path() / "adapter_config.json", changed.dump());
    const std::string said = test::message_of<InputError>([&] { load_adapter(folder.path()); });
    EXPECT_NE(said.find(folder.path().string()), std::string::npos) << said;
  }
  const test::TemporaryFolder empty;
  EXPECT_NE(
      test::message_of<InputError>([&] { load_adapter(empty.path()); }).find("adapter_config.json"),
      std::string::npos);
}

}  // namespace
}  // namespace plimsoll
