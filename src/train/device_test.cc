// Training on a device against training on the CPU: on one that lies in the host's memory and
// computes what the CPU computes, to the bit, so that what is done around a device is tested
// everywhere; and on a GPU, as near as its arithmetic explains.
#include <gtest/gtest.h>

#include "storage/safetensors.h"
#include "support/cuda.h"
#include "support/fake_training_device.h"
#include "train/checkpoint.h"
#include "train/finetune.h"
#include "train/peft_fixture.h"

namespace plimsoll::train {
namespace {

/// Of losses, and of gradients relative to the largest of their tensor.
struct Tolerance {
  double loss = 0;
  double gradient = 0;
};
constexpr Tolerance kExact;
// Operands of products are rounded to 2^-11 on a GPU.
constexpr Tolerance kTf32{2e-3, 2e-2};

void expect_gradients(const Parameters& actual, const Parameters& expected, double tolerance,
                      const std::string& what) {
  ASSERT_EQ(actual.all().size(), expected.all().size());
  for (std::size_t i = 0; i < actual.all().size(); ++i) {
    const Parameter& parameter = actual.all()[i];
    // Softmax does not see K's bias: its gradient is rounding alone.
    if (tolerance > 0 && parameter.name.ends_with("k_proj.bias")) continue;
    EXPECT_LE(test::relative_to_largest(parameter.gradient.to_host().span<float>(),
                                        expected.all()[i].gradient.span<float>()),
              tolerance)
        << what << " " << parameter.name;
  }
}

void expect_the_cpus_gradients(ops::Device& device, const Tolerance& tolerance) {
  using enum quant::WeightFormat;
  for (const std::string base : kPeftBases) {
    for (const quant::WeightFormat format : {fp32, bf16, nf4_dq, int4}) {
      const std::string what = fmt::format("{} {}", base, quant::format_name(format));
      LoadOptions load;
      load.weights.format = format;
      PeftFixture cpu(base, load), there(base, load, &device);
      for (const double share : {0.0, 0.5}) {
        const Dropout dropout{share, 7};
        const double expected = cpu.mean_loss_and_gradient(false, dropout);
        const double loss = there.mean_loss_and_gradient(false, dropout);
        EXPECT_NEAR(loss, expected, tolerance.loss) << what;
        expect_gradients(there.parameters, cpu.parameters, tolerance.gradient, what);
        // The same numbers, computed twice, and once more.
        const Tensor gradient = there.parameters.all()[0].gradient.to_host().clone();
        for (const bool recompute : {true, false}) {
          EXPECT_EQ(there.mean_loss_and_gradient(recompute, dropout), loss) << what;
          EXPECT_EQ(
              test::relative_to_largest(there.parameters.all()[0].gradient.to_host().span<float>(),
                                        gradient.span<float>()),
              0)
              << what;
        }
      }
      EXPECT_NEAR(train::loss(*there.network, there.batch), train::loss(*cpu.network, cpu.batch),
                  tolerance.loss * static_cast<double>(cpu.batch.scored()))
          << what;
    }
  }
}

TEST(TrainingOnADevice, GradientsAreTheCpus) {
  test::FakeTrainingDevice device;
  expect_the_cpus_gradients(device, kExact);
  EXPECT_GT(device.packed, 0);
}

TEST(TrainingOnAGpu, GradientsAreTheCpus) {
  PLIMSOLL_GPU_OR_SKIP();
  expect_the_cpus_gradients(ops::open_device("cuda"), kTf32);
}

/// Of every weight of a dense model, tied heads, biases and learned positions among them.
void expect_the_cpus_dense_gradients(ops::Device& device, const Tolerance& tolerance) {
  for (const std::string base : {"mistral-tiny", "gpt2-tiny", "qwen2-tiny", "llama3-tiny"}) {
    for (const Trained trained :
         {Trained{Trained::Kind::full, 0}, Trained{Trained::Kind::last_layers, 1}}) {
      PeftFixture cpu("mistral-tiny"), there("mistral-tiny");
      for (PeftFixture* fixture : {&cpu, &there}) {
        fixture->network = make_network(*load_model(test::golden(base).string()));
        fixture->parameters = {};
        for (auto* ids : {&fixture->batch.ids, &fixture->batch.targets})
          for (std::int32_t& id : *ids) id = std::min(id, 300);
        add_dense(*fixture->network, trained, fixture->parameters);
      }
      there.network->move_to(device, there.parameters);
      const std::string what = base + " " + trained_name(trained);
      for (int step = 1; step <= 2; ++step) {
        EXPECT_NEAR(there.mean_loss_and_gradient(false), cpu.mean_loss_and_gradient(false),
                    tolerance.loss)
            << what;
        if (step == 1) expect_gradients(there.parameters, cpu.parameters, tolerance.gradient, what);
        const double norm = cpu.parameters.gradient_norm();
        EXPECT_NEAR(there.parameters.gradient_norm(), norm,
                    std::max(tolerance.gradient, 1e-6) * norm)
            << what;
        for (PeftFixture* fixture : {&cpu, &there})
          fixture->parameters.update({step, 1e-3, 0.1, 0.5});
      }
    }
  }
}

TEST(TrainingOnADevice, EveryWeightOfADenseModelLearns) {
  test::FakeTrainingDevice device;
  expect_the_cpus_dense_gradients(device, kExact);
}

TEST(TrainingOnAGpu, EveryWeightOfADenseModelLearns) {
  PLIMSOLL_GPU_OR_SKIP();
  expect_the_cpus_dense_gradients(ops::open_device("cuda"), kTf32);
}

TEST(TrainingOnAGpu, SixStepsHaveTheLossesOfPeft) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const std::string base : kPeftBases) {
    PeftFixture f(base, {}, &ops::open_device("cuda"));
    const Tensor losses = f.expected.tensor("losses");
    for (std::int64_t step = 1; step <= 6; ++step) {
      EXPECT_NEAR(f.mean_loss_and_gradient(false), losses.data<double>()[step - 1], 5e-3)
          << base << " step " << step;
      f.parameters.update({step, 1e-2, 0.01, 1});
    }
  }
}

Dataset dataset() {
  Material material;
  for (int i = 0; i < 600; ++i) material.stream.push_back(3 + (i * i + 7 * i) % 290);
  DataOptions data;
  data.sequence = 16;
  data.batch = 2;
  data.accumulate = 2;
  return Dataset(std::move(material), data);
}

/// Rows without what a run's speed and machine are.
std::vector<nlohmann::ordered_json> losses_of(std::vector<nlohmann::ordered_json> rows) {
  for (auto& row : rows) row.erase("tokens_per_second"), row.erase("device");
  return rows;
}

FinetuneResult run(ops::Device* device, const std::filesystem::path& folder,
                   const Progress& progress, bool resume = false) {
  FinetuneOptions options;
  options.device = device;
  options.adapter.base = "mistral-tiny";
  options.adapter.dropout = 0.1;
  options.steps = 6;
  options.warmup = 2;
  options.clip = 0.5;
  options.folder = folder;
  options.checkpoint_every = 3;
  options.resume = resume;
  options.progress = progress;
  const auto model = load_model(test::golden("mistral-tiny").string());
  return finetune(*model, dataset(), options);
}

TEST(TrainingOnADevice, ARunIsTheCpusAndResumesBitForBit) {
  test::FakeTrainingDevice device;
  const FinetuneResult expected = run(nullptr, {}, {});
  for (const bool interrupted : {false, true}) {
    const test::TemporaryFolder folder;
    if (interrupted) {
      const Progress stop = [&](const std::string& what, std::int64_t done, std::int64_t) {
        return !(what.starts_with("training") && done == 4);
      };
      EXPECT_THROW(run(&device, folder.path(), stop), Interrupted);
      EXPECT_TRUE(std::filesystem::exists(checkpoint_file(folder.path())));
    }
    const FinetuneResult result = run(&device, folder.path(), {}, interrupted);
    EXPECT_EQ(losses_of(result.metrics), losses_of(expected.metrics));
    EXPECT_EQ(result.metrics.back()["step"], 6);
    ASSERT_EQ(result.layers.size(), expected.layers.size());
    for (std::size_t i = 0; i < result.layers.size(); ++i) {
      for (const auto tensor : {&AdapterLayer::a, &AdapterLayer::b}) {
        const Tensor& actual = result.layers[i].*tensor;
        EXPECT_EQ(actual.device(), nullptr);
        EXPECT_TRUE(
            std::ranges::equal(actual.span<float>(), (expected.layers[i].*tensor).span<float>()));
      }
    }
  }
}

// What would be kept for the way back has to fit in half of what is free.
TEST(TrainingOnADevice, LittleMemoryIsEnoughWithTheSameNumbers) {
  test::FakeTrainingDevice device;
  const FinetuneResult all = run(&device, {}, {});
  device.free = 1;
  EXPECT_EQ(losses_of(run(&device, {}, {}).metrics), losses_of(all.metrics));
  // What ends a run that has not even that.
  EXPECT_EQ(device.advice(1),
            "a smaller --batch or --seq would need less, as would --recompute on");
}

}  // namespace
}  // namespace plimsoll::train
