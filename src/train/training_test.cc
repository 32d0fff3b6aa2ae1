// Training against PEFT's: first gradients and the losses of six steps (tests/golden/*-lora).
#include <gtest/gtest.h>

#include "model/load_model.h"
#include "train/peft_fixture.h"

namespace plimsoll::train {
namespace {

using Fixture = PeftFixture;

TEST(Training, FirstGradientsAreThoseOfPeft) {
  for (const std::string base : kPeftBases) {
    for (const bool recompute : {false, true}) {
      Fixture f(base);
      const double loss = f.mean_loss_and_gradient(recompute);
      EXPECT_NEAR(loss, f.expected.tensor("losses").data<double>()[0], 1e-5);
      EXPECT_GT(f.parameters.all().size(), 10u);
      for (const Parameter& parameter : f.parameters.all()) {
        EXPECT_LE(
            test::relative_to_largest(parameter.gradient.span<float>(),
                                      f.expected.tensor("grad." + parameter.name).span<float>()),
            1e-4)
            << base << " " << parameter.name;
      }
    }
  }
}

TEST(Training, SixStepsHaveTheLossesOfPeft) {
  for (const std::string base : kPeftBases) {
    Fixture f(base);
    const Tensor losses = f.expected.tensor("losses");
    ASSERT_EQ(losses.size(), 6);
    for (std::int64_t step = 1; step <= 6; ++step) {
      const double loss = f.mean_loss_and_gradient(false);
      EXPECT_NEAR(loss, losses.data<double>()[step - 1], 1e-4) << base << " step " << step;
      f.parameters.update({step, 1e-2, 0.01, 1});
    }
  }
}

/// Central difference of the loss along the gradient itself, divided by the gradient's square.
double slope_along_gradient(Fixture& f, const Dropout& dropout = {}) {
  const double squares = std::pow(f.parameters.gradient_norm(), 2);
  const double step = 1e-2 / std::sqrt(squares);
  std::vector<Tensor> directions;
  for (const Parameter& p : f.parameters.all()) directions.push_back(p.gradient.clone());
  const auto moved = [&](double by) {
    for (std::size_t i = 0; i < directions.size(); ++i)
      for (std::int64_t j = 0; j < directions[i].size(); ++j)
        f.parameters.all()[i].value.data<float>()[j] +=
            static_cast<float>(by * directions[i].data<float>()[j]);
    return f.mean_loss_and_gradient(false, dropout);
  };
  const double above = moved(step);
  const double below = moved(-2 * step);
  return (above - below) / (2 * step) / squares;
}

// The whole network in fp32: the loss has some 2e-7 of error, over a step that changes it by a few
// 1e-3; and third derivatives.
constexpr double kSlopeTolerance = 5e-3;

TEST(Training, EveryWeightOfADenseModelLearns) {
  for (const char* base : {"mistral-tiny", "gpt2-tiny", "qwen2-tiny", "llama3-tiny"}) {
    for (const Trained trained :
         {Trained{Trained::Kind::full, 0}, Trained{Trained::Kind::last_layers, 1}}) {
      Fixture f("mistral-tiny");
      f.network = make_network(*load_model(test::golden(base).string()));
      f.parameters = {};
      for (auto* ids : {&f.batch.ids, &f.batch.targets})
        for (std::int32_t& id : *ids)
          id = std::min(id, static_cast<std::int32_t>(f.network->config().vocab_size) - 1);
      add_dense(*f.network, trained, f.parameters);
      f.mean_loss_and_gradient(true);
      for (const Parameter& p : f.parameters.all()) {
        // The gradient of K's bias is zero: softmax does not see it.
        if (p.name.ends_with("k_proj.bias")) continue;
        double largest = 0;
        for (const float g : p.gradient.span<float>())
          largest = std::max<double>(largest, std::abs(g));
        EXPECT_GT(largest, 0) << base << " " << p.name;
      }
      EXPECT_NEAR(slope_along_gradient(f), 1, kSlopeTolerance) << base << trained_name(trained);
    }
  }
}

TEST(Training, AdaptersLearnThroughQuantisedWeights) {
  for (const auto format : {quant::WeightFormat::nf4_dq, quant::WeightFormat::int4}) {
    LoadOptions load;
    load.weights.format = format;
    Fixture f("mistral-tiny", load);
    f.mean_loss_and_gradient(false);
    EXPECT_NEAR(slope_along_gradient(f), 1, kSlopeTolerance);
  }
}

TEST(Training, DropoutDropsTheSameTwice) {
  Fixture f("mistral-tiny");
  const double none = f.mean_loss_and_gradient(false);
  const Dropout dropout{0.5, 7};
  const double once = f.mean_loss_and_gradient(false, dropout);
  const Tensor gradient = f.parameters.all()[0].gradient.clone();
  EXPECT_EQ(f.mean_loss_and_gradient(true, dropout), once);
  EXPECT_EQ(test::relative_to_largest(f.parameters.all()[0].gradient.span<float>(),
                                      gradient.span<float>()),
            0);
  EXPECT_NE(once, none);
  EXPECT_NE(f.mean_loss_and_gradient(false, {0.5, 8}), once);
  f.mean_loss_and_gradient(false, dropout);
  EXPECT_NEAR(slope_along_gradient(f, dropout), 1, kSlopeTolerance);
}

TEST(Training, LossWithoutGradientIsTheSame) {
  Fixture f("gpt2-tiny");
  const double with = f.mean_loss_and_gradient(false);
  EXPECT_NEAR(loss(*f.network, f.batch) / static_cast<double>(f.batch.scored()), with, 1e-12);
}

TEST(Training, RowsThatAreNotScoredDoNotCount) {
  Fixture f("mistral-tiny");
  TrainingBatch part;
  const std::vector<std::int32_t> ids{5, 6, 7, 8};
  const std::array<std::uint8_t, 4> scored{0, 0, 1, 0};
  part.add(ids, scored);
  EXPECT_EQ(part.targets, (std::vector<std::int32_t>{-1, 7, -1, -1}));
  EXPECT_EQ(part.scored(), 1);
  TrainingBatch prefix;
  const std::array<std::uint8_t, 3> last{0, 0, 1};
  prefix.add(std::span(ids).first(3), last);
  EXPECT_NEAR(loss(*f.network, part), loss(*f.network, prefix), 1e-6);
}

TEST(Training, GoesOnFromAnAdapter) {
  for (const std::string base : kPeftBases) {
    Fixture f(base);
    const Adapter beginning = load_adapter(test::golden(base + "-lora"));
    const std::vector<float> before(beginning.layers[0].b.span<float>().begin(),
                                    beginning.layers[0].b.span<float>().end());
    f.network = make_network(*load_model(test::golden(base).string()));
    f.parameters = {};
    AdapterConfig config = beginning.config;
    const auto layers = add_adapter(*f.network, beginning, config, f.parameters);
    EXPECT_EQ(layers.size(), beginning.layers.size());
    EXPECT_EQ(f.parameters.all().size(), 2 * layers.size());
    EXPECT_EQ(config.targets, beginning.config.targets);
    const Tensor losses = f.expected.tensor("losses");
    EXPECT_NEAR(f.mean_loss_and_gradient(false), losses.data<double>()[0], 1e-5) << base;
    // What is returned is what the network computes with; the adapter that was given stays.
    Tensor(layers[0].b).data<float>()[0] += 1;
    EXPECT_GT(std::abs(f.mean_loss_and_gradient(false) - losses.data<double>()[0]), 1e-5) << base;
    EXPECT_TRUE(std::ranges::equal(beginning.layers[0].b.span<float>(), before));
  }
}

TEST(Trainable, ModulesAreSpeltOutWhereTargetsDoNotSayThem) {
  const auto network = make_network(*load_model(test::golden("mistral-tiny").string()));
  Adapter beginning = load_adapter(test::golden("mistral-tiny-lora"));
  std::vector<std::string> modules;
  for (const AdapterLayer& layer : beginning.layers) modules.push_back(layer.module);
  AdapterConfig config = beginning.config;
  for (const std::vector<std::string>& targets :
       {std::vector<std::string>{".*proj"}, std::vector<std::string>{"q_proj"}}) {
    Parameters parameters;
    config.targets = targets;
    add_adapter(*network, beginning, config, parameters);
    EXPECT_EQ(config.targets, modules);
  }
  beginning.layers.resize(1);  // "q_proj" alone would say every layer's
  config.targets = {modules[0].substr(modules[0].rfind('.') + 1)};
  Parameters parameters;
  add_adapter(*network, beginning, config, parameters);
  EXPECT_EQ(config.targets, std::vector<std::string>{modules[0]});
}

TEST(Trainable, AnAdapterOfAnotherBaseIsNamed) {
  const auto network = make_network(*load_model(test::golden("llama-tiny").string()));
  const Adapter beginning = load_adapter(test::golden("gpt2-tiny-lora"));
  AdapterConfig config = beginning.config;
  config.base = "models/mine";
  Parameters parameters;
  const std::string said =
      test::message_of<InputError>([&] { add_adapter(*network, beginning, config, parameters); });
  EXPECT_NE(said.find("gpt2-tiny"), std::string::npos) << said;
  EXPECT_NE(said.find("models/mine"), std::string::npos) << said;
}

TEST(Trainable, TargetsThatMatchNothingAreListed) {
  const auto network = make_network(*load_model(test::golden("gpt2-tiny").string()));
  Parameters parameters;
  AdapterConfig config;
  config.targets = {"q_proj"};
  const std::string said =
      test::message_of<InputError>([&] { add_adapters(*network, config, 1, parameters); });
  for (const char* part : {"q_proj", "c_attn", "c_fc", "c_proj"})
    EXPECT_NE(said.find(part), std::string::npos) << said;
  config.targets = {"all-linear"};
  EXPECT_EQ(add_adapters(*network, config, 1, parameters).size(), 8u);
  EXPECT_EQ(config.targets, (std::vector<std::string>{"c_attn", "c_fc", "c_proj"}));
  EXPECT_TRUE(config.fan_in_fan_out);
}

}  // namespace
}  // namespace plimsoll::train
