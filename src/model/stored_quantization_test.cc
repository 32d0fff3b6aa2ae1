// Quantised checkpoints: ours and bitsandbytes' are the same bytes and give the same logits.
#include "model/stored_quantization.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>
#include <numeric>
#include <optional>

#include "model/load_model.h"
#include "storage/safetensors_writer.h"
#include "support/support.h"

namespace plimsoll {
namespace {

using quant::WeightFormat;

struct Case {
  const char* source;
  const char* quantized;
  WeightFormat format;
  int layers;  // quantised linear layers
};

class StoredQuantizationOf : public testing::TestWithParam<Case> {};

TEST_P(StoredQuantizationOf, EncodingTheSourceGivesTheStoredBytes) {
  const Case& c = GetParam();
  const Checkpoint stored = Checkpoint::open(test::golden(c.quantized));
  LoadOptions options;
  options.weights.format = c.format;
  const auto model = load_model(test::golden(c.source).string(), options);
  int compared = 0;
  model->visit_linears([&](ops::Linear& layer) {
    if (quant::is_dense(layer.weight.format)) return;
    ++compared;
    for (const auto& [name, mine] : stored_tensors(layer.weight, layer.name)) {
      const Tensor theirs = stored.tensor(name);
      ASSERT_EQ(mine.dtype(), theirs.dtype()) << name;
      ASSERT_EQ(mine.shape(), theirs.shape()) << name;
      EXPECT_EQ(std::memcmp(mine.raw(), theirs.raw(), mine.bytes()), 0) << name;
    }
  });
  EXPECT_EQ(compared, c.layers);
}

// Their logits come from fp16 arithmetic on a GPU. One rounding to fp16 is 2^-11; a layer makes
// about a dozen in a row on its residual path (norm, projections, rotation, softmax, sums), two
// layers and the head some 25; errors of independent roundings add as their root, 5 * 2^-11, and
// the largest of a few thousand logits lies within four deviations.
constexpr double kFp16LogitTolerance = 4 * 5 * 0x1p-11;

Tensor logits_of(const std::string& folder, const Tensor& ids, const LoadOptions& options) {
  const auto model = load_model(folder, options);
  kv::BlockPool pool(model->kv_shape(), 2 * ids.dim(1) + 16);
  std::vector<kv::Sequence> sequences;
  Batch batch;
  sequences.reserve(2);
  for (int row = 0; row < 2; ++row) sequences.emplace_back(pool);
  for (std::int64_t row = 0; row < 2; ++row) {
    const Tensor line = ids.rows(row, row + 1);
    batch.add(sequences[static_cast<std::size_t>(row)],
              std::vector<std::int32_t>(line.data<std::int64_t>(),
                                        line.data<std::int64_t>() + line.size()));
  }
  return model->logits({}, model->forward({}, batch));
}

/// a - b
std::vector<double> difference(const Tensor& a, const Tensor& b) {
  std::vector<double> result(static_cast<std::size_t>(a.size()));
  for (std::size_t i = 0; i < result.size(); ++i)
    result[i] = static_cast<double>(a.data<float>()[i]) - b.data<float>()[i];
  return result;
}

double product(const std::vector<double>& a, const std::vector<double>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

// LLM.int8() magnifies fp16's rounding: an input that moved by a little crosses the border of an
// int8 code, is then a whole step off, and moves the next layer's inputs by more than fp16 did.
// What rounding activations to int8 adds to the logits (those of the same int8 weights with exact
// activations taken off) is therefore the same noise in two programs only in part. Rounding the
// inputs and outputs of our own linear layers to fp16 leaves a correlation of 0.48 with ourselves;
// theirs must have at least half of it. Without int8 activations, or with other codes, it would be
// 0 within 0.011 (one over the root of 80 positions times some 100 independent directions).
constexpr double kSharedActivationNoise = 0.24;
// Two realisations of that noise that share nothing at all would be its root of two apart.
const double kMostThatFp16Explains = std::sqrt(2.0);

void expect_same_int8_noise(const Tensor& ours, const Tensor& theirs, const Tensor& exact) {
  const auto our_noise = difference(ours, exact), their_noise = difference(theirs, exact);
  const double size = std::sqrt(product(our_noise, our_noise));
  const double their_size = std::sqrt(product(their_noise, their_noise));
  EXPECT_GE(product(our_noise, their_noise) / (size * their_size), kSharedActivationNoise);
  const auto apart = difference(ours, theirs);
  EXPECT_LE(std::sqrt(product(apart, apart)), kMostThatFp16Explains * size);
}

TEST_P(StoredQuantizationOf, LogitsAgreeToWhatFp16ArithmeticExplains) {
  const Case& c = GetParam();
  LoadOptions options;
  options.weights.outliers_by_batch = true;
  const auto expected =
      SafetensorsFile::open(test::golden(std::string(c.quantized) + "/expected.safetensors"));
  const Tensor ids = expected.tensor("input_ids"), theirs = expected.tensor("logits");
  const Tensor ours = logits_of(test::golden(c.quantized).string(), ids, options);
  ASSERT_EQ(ours.size(), theirs.size());
  if (c.format == WeightFormat::int8) {
    LoadOptions decoded;
    decoded.weights.format = WeightFormat::fp32;
    expect_same_int8_noise(ours, theirs,
                           logits_of(test::golden(c.quantized).string(), ids, decoded));
    return;
  }
  EXPECT_LE(test::relative_to_largest(ours.span<float>(), theirs.span<float>()),
            kFp16LogitTolerance);
}

INSTANTIATE_TEST_SUITE_P(
    Bitsandbytes, StoredQuantizationOf,
    testing::Values(Case{"mistral-tiny", "mistral-tiny-bnb-nf4-dq", WeightFormat::nf4_dq, 14},
                    Case{"mistral-tiny", "mistral-tiny-bnb-fp4", WeightFormat::fp4, 14},
                    Case{"mistral-tiny", "mistral-tiny-bnb-int8", WeightFormat::int8, 14},
                    Case{"gpt2-tiny", "gpt2-tiny-bnb-nf4-dq", WeightFormat::nf4_dq, 8}),
    [](const auto& parameter) { return "case" + std::to_string(parameter.index); });

TEST(StoredQuantization, UnknownMethodsAndSettingsAreRefusedByField) {
  const auto message = [](const char* json) {
    return test::message_of<InputError>(
        [&] { stored_quantization(nlohmann::json::parse(json), "config.json"); });
  };
  EXPECT_EQ(
      stored_quantization({{"load_in_4bit", true}, {"bnb_4bit_quant_type", "nf4"}}, "c").format,
      WeightFormat::nf4);  // as transformers wrote it before there was a quant_method
  EXPECT_EQ(message(R"({"quant_method": "awq"})"),
            "config.json: quantization_config: quant_method: found \"awq\", expected bitsandbytes, "
            "gptq or plimsoll");
  EXPECT_EQ(message(R"({"quant_method": "gptq", "bits": 3})")
                .find("config.json: quantization_config: bits: found 3"),
            0u);
  EXPECT_NE(message(R"({"quant_method": "gptq", "bits": 4, "checkpoint_format": "marlin"})")
                .find("\"gptq\" (v1)"),
            std::string::npos);
  EXPECT_NE(
      message(
          R"({"quant_method": "bitsandbytes", "load_in_4bit": true, "bnb_4bit_quant_type": "nf3"})")
          .find("\"nf4\" or \"fp4\""),
      std::string::npos);
}

// A quantised matrix of a golden checkpoint with one tensor or the config changed.
class Damaged {
 public:
  explicit Damaged(const char* source) : source_(source) {
    const Checkpoint checkpoint = Checkpoint::open(test::golden(source));
    for (const std::string& name : checkpoint.names())
      tensors_.emplace(name, checkpoint.tensor(name).clone());
  }
  Tensor& operator[](const std::string& tensor) { return tensors_.at(tensor); }
  void replace_text(const std::string& tensor, const std::string& from, const std::string& to) {
    Tensor& bytes = tensors_.at(tensor);
    std::string text(reinterpret_cast<const char*>(bytes.raw()), bytes.bytes());
    const std::size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    bytes = Tensor::empty(DType::u8, {static_cast<std::int64_t>(text.size())});
    std::memcpy(bytes.raw(), text.data(), text.size());
  }
  std::string message() const {
    const test::TemporaryFolder folder;
    TensorSpecs specs;
    for (const auto& [name, tensor] : tensors_)
      specs.push_back({name, {tensor.dtype(), tensor.shape()}});
    sort_as_reference(specs);
    SafetensorsWriter writer(folder.path() / "model.safetensors", specs, {});
    for (const auto& [name, spec] : specs) writer.write(name, tensors_.at(name));
    writer.finish();
    test::write_file(folder.path() / "config.json",
                     test::read_file(test::golden(source_) / "config.json"));
    return test::message_of<InputError>([&] { load_model(folder.path().string()); });
  }

 private:
  std::string source_;
  std::map<std::string, Tensor> tensors_;
};

TEST(StoredQuantization, StatisticsThatContradictTheFormatAreRefused) {
  const std::string weight = "model.layers.0.mlp.up_proj.weight";
  const std::string state = weight + ".quant_state.bitsandbytes__nf4";
  const auto expect = [](const Damaged& damaged, const std::string& mention) {
    const std::string message = damaged.message();
    EXPECT_NE(message.find(mention), std::string::npos) << message << "\n  expected: " << mention;
  };
  Damaged type("mistral-tiny-bnb-nf4-dq");
  type.replace_text(state, "\"nf4\"", "\"fp4\"");
  expect(type, "quant_type: found \"fp4\", expected \"nf4\", as config.json says");
  Damaged dtype("mistral-tiny-bnb-nf4-dq");
  dtype.replace_text(state, "\"nested_dtype\": \"float32\"", "\"nested_dtype\": \"float16\"");
  expect(dtype, "nested_dtype: found \"float16\", expected \"float32\"");
  Damaged zeros("mistral-tiny-bnb-nf4-dq");
  zeros[weight + ".quant_map"] = Tensor::zeros(DType::f32, {16});
  expect(zeros, weight + ".quant_map: level 0: found 0, expected -1, nf4's");
  Damaged nested("mistral-tiny-bnb-nf4-dq");
  nested[weight + ".nested_quant_map"] = Tensor::zeros(DType::f32, {256});
  expect(nested, "nested table: found 0 after 0, expected ascending values");
  Damaged absmax("mistral-tiny-bnb-fp4");
  absmax[weight + ".absmax"].data<float>()[3] = -1;
  expect(absmax, "scales: found -1, expected 0 or more");
  Damaged scb("mistral-tiny-bnb-int8");
  scb["model.layers.0.mlp.up_proj.SCB"].data<float>()[3] = -0.5f;
  expect(scb, "scales: found -0.5, expected 0 or more");
}

// Which modules stay dense, as the libraries read it.
TEST(StoredQuantization, TheConfigNamesWhatStaysDense) {
  using Names = std::vector<std::string>;
  const auto config = [](WeightFormat format, const Names& dense) {
    return quantization_config({format, {}, {}, dense, std::nullopt});
  };
  const std::string up = "model.layers.0.mlp.up_proj";
  EXPECT_TRUE(config(WeightFormat::nf4, {"lm_head"})["llm_int8_skip_modules"].is_null());
  EXPECT_EQ(config(WeightFormat::int8, {})["llm_int8_skip_modules"].dump(), "[]");
  EXPECT_EQ(config(WeightFormat::nf4, {up, "lm_head"})["llm_int8_skip_modules"].dump(),
            R"(["model.layers.0.mlp.up_proj","lm_head"])");
  EXPECT_EQ(config(WeightFormat::gptq, {"lm_head"})["lm_head"], false);
  EXPECT_FALSE(config(WeightFormat::gptq, {"lm_head"}).contains("dynamic"));
  EXPECT_EQ(config(WeightFormat::int4, {})["lm_head"], true);
  EXPECT_EQ(config(WeightFormat::gptq, {up, "lm_head"})["dynamic"].dump(),
            R"({"-:^model\\.layers\\.0\\.mlp\\.up_proj$":{}})");
}

// What the libraries' config has no word for comes back from our own.
TEST(StoredQuantization, OurOwnWordsGoBothWays) {
  QuantizationSettings settings{WeightFormat::int8, {}, {}, {"lm_head"}, std::nullopt};
  const auto read = [&] {
    return stored_quantization(nlohmann::json::parse(quantization_config(settings).dump()), "c");
  };
  EXPECT_FALSE(quantization_config(settings).contains("plimsoll"));
  settings.encode.outliers_by_batch = true;
  settings.encode.source_dtype = DType::bf16;
  EXPECT_TRUE(read().outliers_by_batch);
  EXPECT_EQ(read().source_dtype, DType::bf16);
  settings = {WeightFormat::int4, {}, {}, {"lm_head"}, std::nullopt};
  settings.encode.symmetric = true;
  EXPECT_EQ(read().format, WeightFormat::int4);
  settings = {WeightFormat::gptq, {}, {}, {"lm_head"}, CalibrationRecord{"a.txt", "5a", 3, 64, 7}};
  const StoredQuantization gptq = read();
  EXPECT_EQ(gptq.format, WeightFormat::gptq);
  ASSERT_TRUE(gptq.calibration.has_value());
  EXPECT_EQ(gptq.calibration->text, "a.txt");
  EXPECT_EQ(gptq.calibration->sha256, "5a");
  EXPECT_EQ(gptq.calibration->windows, 3);
  EXPECT_EQ(gptq.calibration->window_tokens, 64);
  EXPECT_EQ(gptq.calibration->seed, 7u);
  // Others' checkpoints have no such word: symmetric ones are taken for gptq.
  EXPECT_EQ(stored_quantization({{"quant_method", "gptq"}, {"bits", 4}, {"sym", true}}, "c").format,
            WeightFormat::gptq);
}

TEST(StoredQuantization, FlagsTakeThePlaceOfWhatAnInt8CheckpointSays) {
  const auto first = [](const LoadOptions& options) {
    const auto model = load_model(test::golden("mistral-tiny-bnb-int8").string(), options);
    std::optional<quant::Matrix> matrix;
    model->visit_linears([&](ops::Linear& layer) {
      if (!matrix) matrix = layer.weight;
    });
    return *matrix;
  };
  LoadOptions options;
  EXPECT_EQ(first(options).outlier_threshold, 6);
  EXPECT_FALSE(first(options).outliers_by_batch);
  options.weights.outlier_threshold = 2.5f;
  options.weights.outliers_by_batch = true;
  EXPECT_EQ(first(options).outlier_threshold, 2.5f);
  EXPECT_TRUE(first(options).outliers_by_batch);
  options.weights.format = WeightFormat::int8_dynamic;  // the same codes
  EXPECT_EQ(first(options).format, WeightFormat::int8_dynamic);
  EXPECT_EQ(first(options).outlier_threshold, 0);
}

TEST(StoredQuantization, EveryFormatSurvivesItsStoredForm) {
  LoadOptions options;
  for (const WeightFormat format :
       {WeightFormat::int8, WeightFormat::int8_dynamic, WeightFormat::fp8, WeightFormat::nf4,
        WeightFormat::fp4_dq, WeightFormat::int4, WeightFormat::log4}) {
    options.weights.format = format;
    const auto model = load_model(test::golden("llama-tiny").string(), options);
    model->visit_linears([&](ops::Linear& layer) {
      if (quant::is_dense(layer.weight.format)) return;
      const auto config =
          quantization_config({format, options.weights.encode, {}, {"lm_head"}, std::nullopt});
      const StoredQuantization stored =
          stored_quantization(nlohmann::json::parse(config.dump()), "config.json");
      EXPECT_EQ(stored.format, format);
      TensorSpecs specs;
      const auto tensors = stored_tensors(layer.weight, layer.name);
      for (const auto& [name, tensor] : tensors)
        specs.push_back({name, {tensor.dtype(), tensor.shape()}});
      const test::TemporaryFolder folder;
      SafetensorsWriter writer(folder.path() / "model.safetensors", specs, {});
      for (const auto& [name, tensor] : tensors) writer.write(name, tensor);
      writer.finish();
      const Checkpoint checkpoint = Checkpoint::open(folder.path());
      ASSERT_TRUE(is_stored_quantized(checkpoint, stored, layer.name));
      const quant::Matrix read =
          read_quantized(checkpoint, stored, layer.name, layer.weight.rows, layer.weight.columns);
      const Tensor before = quant::decode(layer.weight), after = quant::decode(read);
      EXPECT_EQ(std::memcmp(before.raw(), after.raw(), before.bytes()), 0)
          << quant::format_name(format);
    });
  }
}

}  // namespace
}  // namespace plimsoll
