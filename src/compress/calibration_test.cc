#include "compress/calibration.h"

#include <gtest/gtest.h>

#include <map>
#include <numeric>

#include "quant/hessian.h"
#include "support/support.h"

namespace plimsoll::compress {
namespace {

TEST(SharedPassage, IsFoundWhereverItLies) {
  CalibrationText calibration;
  calibration.name = "a.txt";
  calibration.ids.resize(500);
  std::iota(calibration.ids.begin(), calibration.ids.end(), 0);
  std::vector<std::int32_t> other(300);
  std::iota(other.begin(), other.end(), 1000);
  EXPECT_NO_THROW(refuse_shared_passage(calibration, other));
  // 31 tokens in common are no passage, 32 are one, at any offset.
  for (const std::size_t from : {0, 13, 468}) {
    std::vector<std::int32_t> text = other;
    const auto begin = calibration.ids.begin() + static_cast<std::ptrdiff_t>(from);
    std::copy_n(begin, 31, text.begin() + 77);
    EXPECT_NO_THROW(refuse_shared_passage(calibration, text));
    std::copy_n(begin, 32, text.begin() + 77);
    EXPECT_EQ(
        test::message_of<InputError>([&] { refuse_shared_passage(calibration, text); }),
        "a.txt: calibration text: found 1 passages of 32 tokens that are in the evaluated text "
        "too, expected another text: what weights were chosen by must not judge them");
  }
}

struct GptqCase {
  const char* model;
  bool act_order;
  int layers;
};

class GptqOf : public testing::TestWithParam<GptqCase> {};

// GPTQ's whole point, on every layer of a trained model: less output error than rounding to nearest
// with the same bits, group and symmetry.
TEST_P(GptqOf, BeatsRoundToNearestOnEveryLayer) {
  const GptqCase& c = GetParam();
#ifdef PLIMSOLL_SLOW_BUILD
  GTEST_SKIP()
      << "takes minutes when sanitised; quant's tests and quantize's run the same code there";
#endif
  const std::string folder = test::source_path(c.model).string();
  LoadOptions options;
  options.weights.format = quant::WeightFormat::gptq;
  CalibrationOptions calibration;
  calibration.text = built_in_calibration_text(*Tokenizer::load(folder));
  calibration.gptq.act_order = c.act_order;
  calibration.windows = 4;
  calibration.window_tokens = 128;
  // The same statistics, gathered here by an observer of our own.
  const auto dense = load_model(folder);
  std::map<std::string, quant::HessianAccumulator> hessians;
  const ops::LinearObserver observer = [&](const ops::Linear& layer, const Tensor& x) {
    hessians.try_emplace(layer.name, x.dim(1)).first->second.add(x.data<float>(), x.dim(0));
  };
  ops::Context context;
  context.observer = &observer;
  for (const auto& window : calibration_windows(calibration)) {
    kv::BlockPool pool(dense->kv_shape(), calibration.window_tokens);
    kv::Sequence sequence(pool);
    Batch batch;
    batch.add(sequence, window);
    dense->forward(context, batch);
  }
  int layers = 0;
  options.on_encoded = [&](const std::string& module, const Tensor& weights,
                           const quant::Matrix& solved) {
    quant::EncodeOptions nearest;
    nearest.group = 128;
    nearest.symmetric = true;
    const quant::Matrix rounded =
        quant::encode(quant::WeightFormat::int4, weights, nearest, module);
    EXPECT_LT(quant::output_error(weights, solved, hessians.at(module)),
              quant::output_error(weights, rounded, hessians.at(module)))
        << module;
    ++layers;
  };
  load_model_in(folder, options, &calibration);
  EXPECT_EQ(layers, c.layers);
}

INSTANTIATE_TEST_SUITE_P(Models, GptqOf,
                         testing::Values(GptqCase{"models/gpt2-demo", false, 16},
                                         GptqCase{"models/gpt2-demo", true, 16},
                                         GptqCase{"models/demo", false, 42},
                                         GptqCase{"models/demo", true, 42}),
                         [](const auto& parameter) {
                           const std::string model = parameter.param.model;
                           return std::string(model == "models/demo" ? "demo" : "gpt2_demo") +
                                  (parameter.param.act_order ? "_act_order" : "");
                         });

}  // namespace
}  // namespace plimsoll::compress
