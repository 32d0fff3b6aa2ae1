#include "compress/save.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>

#include "core/rng.h"
#include "storage/safetensors_writer.h"
#include "support/support.h"

namespace plimsoll::compress {
namespace {

using quant::WeightFormat;
namespace fs = std::filesystem;

class SaveTiny : public testing::Test {
 protected:
  std::unique_ptr<Model> load(const char* source, WeightFormat format) {
    options_.weights.format = format;
    calibration_.text.name = "a text";
    calibration_.window_tokens = 32;
    calibration_.windows = 24;
    Rng rng(5);
    calibration_.text.ids.clear();
    for (int i = 0; i < 400; ++i)
      calibration_.text.ids.push_back(static_cast<std::int32_t>(rng.below(300)));
    return load_model_in(test::golden(source).string(), options_, &calibration_);
  }
  Tensor logits(const Model& model) {
    kv::BlockPool pool(model.kv_shape(), 64);
    kv::Sequence sequence(pool);
    Batch batch;
    batch.add(sequence, std::span(calibration_.text.ids).first(40));
    return model.logits({}, model.forward({}, batch));
  }
  test::TemporaryFolder folder_;
  LoadOptions options_;
  CalibrationOptions calibration_;
};

// What is written and read again is the model that was in memory, for every format and for GPT-2's
// turned matrices too. With fp32 for what stays dense nothing is rounded on the way, and the logits
// differ only by the order in which the head's products are summed in its kernel for another dtype:
// 128 columns, in units of 2^-24, of sums that are at most as large as the largest logit times the
// cancellation in them (taken as 8).
constexpr double kOtherOrder = 128 * 8 * 0x1p-24;

TEST_F(SaveTiny, AWrittenFolderIsTheModelThatWasInMemory) {
  for (const char* source : {"gpt2-tiny", "mistral-tiny-bf16-sharded"}) {
    for (const WeightFormat format : quant::all_formats()) {
      if (quant::is_dense(format)) continue;
      options_.weights.encode.source_dtype = DType::f32;
      const auto model = load(source, format);
      const fs::path target =
          folder_.path() / fmt::format("{}-{}", source, quant::format_name(format));
      save_quantized(*model, test::golden(source), options_, calibration_, target, {});
      EXPECT_FALSE(fs::exists(target.string() + ".plimsoll-partial"));
      const auto read = load_model(target.string());
      int quantised = 0;
      std::vector<quant::Matrix> originals;
      model->visit_linears([&](ops::Linear& layer) { originals.push_back(layer.weight); });
      std::size_t i = 0;
      read->visit_linears([&](ops::Linear& layer) {
        const quant::Matrix& original = originals[i++];
        EXPECT_EQ(layer.weight.format,
                  quant::is_dense(original.format) ? WeightFormat::fp32 : original.format);
        if (quant::is_dense(original.format)) return;
        ++quantised;
        const Tensor before = quant::decode(original), after = quant::decode(layer.weight);
        ASSERT_EQ(std::memcmp(before.raw(), after.raw(), before.bytes()), 0)
            << target << " " << layer.name;
        EXPECT_EQ(layer.weight.input_scale, original.input_scale);
        EXPECT_EQ(layer.weight.outlier_threshold, original.outlier_threshold);
      });
      EXPECT_GE(quantised, 8);
      EXPECT_LE(
          test::relative_to_largest(logits(*read).span<float>(), logits(*model).span<float>()),
          kOtherOrder)
          << target;
    }
  }
}

TEST_F(SaveTiny, AFolderThatHoldsSomethingIsRefusedAndALeftoverCleared) {
  const auto model = load("mistral-tiny", WeightFormat::nf4);
  const fs::path target = folder_.path() / "out";
  fs::create_directories(target.string() + ".plimsoll-partial");
  test::write_file(target.string() + ".plimsoll-partial/model.safetensors", "half");
  save_quantized(*model, test::golden("mistral-tiny"), options_, calibration_, target, {});
  EXPECT_FALSE(fs::exists(target.string() + ".plimsoll-partial"));
  EXPECT_EQ(
      test::message_of<InputError>(
          [&] { check_saving(test::golden("mistral-tiny"), options_.weights, target); }),
      target.string() +
          ": output folder: found something there already, expected a new or an empty folder");
}

TEST_F(SaveTiny, ABiasThatTheConfigDeniesIsRefusedBesideAQuantisedMatrixToo) {
  const auto model = load("qwen2-tiny", WeightFormat::nf4);
  const fs::path target = folder_.path() / "out";
  save_quantized(*model, test::golden("qwen2-tiny"), options_, calibration_, target, {});
  std::string config = test::read_file(target / "config.json");
  for (const auto& [from, to] : {std::pair<std::string, std::string>{"\"qwen2\"", "\"llama\""},
                                 {"Qwen2ForCausalLM", "LlamaForCausalLM"}}) {
    ASSERT_NE(config.find(from), std::string::npos) << from;
    config.replace(config.find(from), from.size(), to);
  }
  test::write_file(target / "config.json", config);
  EXPECT_NE(test::message_of<InputError>([&] {
              load_model(target.string());
            }).find("k_proj.bias: found a tensor that the model in config.json does not have"),
            std::string::npos);
}

TEST_F(SaveTiny, AnInterruptedRunLeavesNothing) {
  const auto model = load("mistral-tiny", WeightFormat::nf4);
  const fs::path target = folder_.path() / "out";
  const Progress stop = [](const std::string&, std::int64_t done, std::int64_t) {
    return done < 5;
  };
  EXPECT_THROW(
      save_quantized(*model, test::golden("mistral-tiny"), options_, calibration_, target, stop),
      Interrupted);
  EXPECT_FALSE(fs::exists(target));
  EXPECT_FALSE(fs::exists(target.string() + ".plimsoll-partial"));
}

TEST_F(SaveTiny, AFolderThatCannotBeMadeIsRefusedBeforeAnyWork) {
  options_.weights.format = WeightFormat::nf4;
  const auto refusal = [&](const fs::path& target) {
    return test::message_of<InputError>(
        [&] { check_saving(test::golden("mistral-tiny"), options_.weights, target); });
  };
  EXPECT_NE(refusal("").find("--output: output folder: found an empty name"), std::string::npos);
  fs::create_symlink(folder_.path() / "nowhere", folder_.path() / "link");
  EXPECT_NE(refusal(folder_.path() / "link").find("a link that leads nowhere"), std::string::npos);
  test::write_file(folder_.path() / "file", "");
  EXPECT_NE(refusal(folder_.path() / "file").find("something there already"), std::string::npos);
  EXPECT_NE(refusal(folder_.path() / "file/out").find("which is no folder"), std::string::npos);
  EXPECT_NO_THROW(check_saving(test::golden("mistral-tiny"), options_.weights,
                               folder_.path() / "new/deep/out/"));
  EXPECT_FALSE(fs::exists(folder_.path() / "new"));
}

TEST_F(SaveTiny, ALinkToAnEmptyFolderLeadsThere) {
  const auto model = load("mistral-tiny", WeightFormat::nf4);
  fs::create_directory(folder_.path() / "real");
  fs::create_symlink(folder_.path() / "real", folder_.path() / "link");
  save_quantized(*model, test::golden("mistral-tiny"), options_, calibration_,
                 folder_.path() / "link", {});
  EXPECT_TRUE(fs::is_symlink(folder_.path() / "link"));
  EXPECT_TRUE(fs::exists(folder_.path() / "real/config.json"));
}

// A checkpoint with one tensor changed.
fs::path changed(const fs::path& folder, const std::string& tensor, float value,
                 const std::string& added = {}) {
  const Checkpoint source = Checkpoint::open(test::golden("mistral-tiny"));
  std::map<std::string, Tensor> tensors;
  for (const std::string& name : source.names()) tensors.emplace(name, source.tensor(name).clone());
  tensors.at(tensor).data<float>()[1] = value;
  if (!added.empty()) {
    tensors.emplace(added, Tensor::zeros(DType::f32, {4}));
    tensors.at(added).data<float>()[0] = value;
  }
  fs::create_directories(folder);
  TensorSpecs specs;
  for (const auto& [name, entry] : tensors) specs.push_back({name, {entry.dtype(), entry.shape()}});
  sort_as_reference(specs);
  SafetensorsWriter writer(folder / "model.safetensors", specs, {});
  for (const auto& [name, spec] : specs) writer.write(name, tensors.at(name));
  writer.finish();
  test::write_file(folder / "config.json",
                   test::read_file(test::golden("mistral-tiny") / "config.json"));
  return folder;
}

TEST_F(SaveTiny, WhatStaysDenseMustFitItsDtype) {
  options_.weights.format = WeightFormat::nf4;
  const fs::path large = changed(folder_.path() / "large", "model.norm.weight", 1e5f);
  EXPECT_EQ(
      test::message_of<InputError>(
          [&] { check_saving(large, options_.weights, folder_.path() / "out"); }),
      (large / "model.safetensors").string() +
          ": model.norm.weight: element [1]: found 100000, expected a value that F16 can hold");
  options_.weights.encode.source_dtype = DType::bf16;
  EXPECT_NO_THROW(check_saving(large, options_.weights, folder_.path() / "out"));
  const fs::path nan = changed(folder_.path() / "nan", "model.embed_tokens.weight", NAN);
  for (const WeightFormat format : {WeightFormat::nf4, WeightFormat::fp16, WeightFormat::fp32}) {
    options_.weights.format = format;
    EXPECT_NE(test::message_of<InputError>([&] {
                load_model(nan.string(), options_);
              }).find("model.embed_tokens.weight: element [0, 1]: found nan"),
              std::string::npos);
  }
  // Too large for a dense format that is asked for.
  const fs::path head = changed(folder_.path() / "head", "lm_head.weight", 1e5f);
  options_.weights.format = WeightFormat::fp16;
  EXPECT_NE(test::message_of<InputError>([&] {
              load_model(head.string(), options_);
            }).find("lm_head.weight: element [0, 1]: found 100000"),
            std::string::npos);
}

TEST_F(SaveTiny, BuffersAreLeftOut) {
  const std::string buffer = "model.layers.0.self_attn.rotary_emb.inv_freq";
  const fs::path source = changed(folder_.path() / "source", "model.norm.weight", 1, buffer);
  options_.weights.format = WeightFormat::nf4;
  const auto model = load_model(source.string(), options_);
  save_quantized(*model, source, options_, calibration_, folder_.path() / "out", {});
  EXPECT_FALSE(Checkpoint::open(folder_.path() / "out").has(buffer));
}

TEST_F(SaveTiny, AQuantisedHeadIsWrittenAndReadAgain) {
  for (const WeightFormat format : {WeightFormat::nf4, WeightFormat::gptq}) {
    options_.weights.include = {"lm_head"};
    const auto model = load("mistral-tiny", format);
    const fs::path target = folder_.path() / quant::format_name(format);
    save_quantized(*model, test::golden("mistral-tiny"), options_, calibration_, target, {});
    load_model(target.string())->visit_linears([&](ops::Linear& layer) {
      EXPECT_EQ(layer.weight.format, format) << layer.name;
    });
  }
}

TEST_F(SaveTiny, CalibrationNeedsAWindowOfText) {
  calibration_.text.ids.assign(10, 1);
  calibration_.text.name = "short.txt";
  calibration_.window_tokens = 32;
  EXPECT_EQ(test::message_of<InputError>([&] { calibration_windows(calibration_); }),
            "short.txt: calibration text: found 10 tokens, expected at least 32");
}

}  // namespace
}  // namespace plimsoll::compress
