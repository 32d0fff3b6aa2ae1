// Models with adapters, for which PEFT's logits, first gradients and losses of six steps are kept
// (tests/golden/*-lora): for tests.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "model/load_model.h"
#include "storage/safetensors.h"
#include "support/support.h"
#include "train/loss.h"
#include "train/trainable.h"

namespace plimsoll::train {

inline constexpr std::array kPeftBases{"mistral-tiny", "gpt2-tiny"};

struct PeftFixture {
  explicit PeftFixture(const std::string& base, const LoadOptions& load = {},
                       ops::Device* device = nullptr)
      : expected(SafetensorsFile::open(test::golden(base + "-lora/expected.safetensors"))) {
    const auto model = load_model(test::golden(base).string(), load);
    attach_adapter(*model, base, load_adapter(test::golden(base + "-lora")), 1);
    network = make_network(*model);
    add_existing_adapters(*network, parameters);
    if (device != nullptr) network->move_to(*device, parameters);
    const Tensor ids = expected.tensor("input_ids");
    for (std::int64_t row = 0; row < ids.dim(0); ++row) {
      const Tensor line = ids.rows(row, row + 1);
      batch.add(std::vector<std::int32_t>(line.data<std::int64_t>(),
                                          line.data<std::int64_t>() + line.size()));
    }
  }

  double mean_loss_and_gradient(bool recompute, Dropout dropout = {}) {
    parameters.clear_gradients();
    const auto count = static_cast<float>(batch.scored());
    return loss_and_gradient(*network, batch, parameters, {1 / count, recompute, dropout}) / count;
  }

  SafetensorsFile expected;
  std::unique_ptr<Network> network;
  Parameters parameters;
  TrainingBatch batch;
};

}  // namespace plimsoll::train
