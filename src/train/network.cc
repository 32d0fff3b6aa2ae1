#include "train/network.h"

#include <algorithm>
#include <utility>

#include "ops/layer.h"
#include "ops/training_device.h"

namespace plimsoll::train {

void TrainingBatch::add(std::span<const std::int32_t> new_ids,
                        std::span<const std::uint8_t> scored) {
  PLIMSOLL_CHECK(new_ids.size() >= 2 && (scored.empty() || scored.size() == new_ids.size()));
  for (std::size_t i = 0; i < new_ids.size(); ++i) {
    const bool counts = i + 1 < new_ids.size() && (scored.empty() || scored[i + 1] != 0);
    ids.push_back(new_ids[i]);
    targets.push_back(counts ? new_ids[i + 1] : -1);
    positions.push_back(static_cast<std::int64_t>(i));
  }
  bounds.push_back(rows());
}

std::int64_t TrainingBatch::scored() const {
  return std::ranges::count_if(targets, [](std::int32_t target) { return target >= 0; });
}

void Network::move_to(ops::Device& device, Parameters& parameters) {
  constexpr std::int64_t kGrain = 8;
  const ModelConfig& c = config();
  for (const auto& [field, width] :
       {std::pair{"hidden size", c.hidden_size}, {"intermediate size", c.intermediate_size}}) {
    if (width % kGrain != 0) {
      throw InputError("the model", field, std::to_string(width),
                       fmt::format("a multiple of {} to be trained on a GPU", kGrain));
    }
  }
  parameters.move_to(device);
  ops::Mover move(device);
  const auto moved = [&](const Tensor& tensor, std::string_view name) {
    return parameters.contains(tensor) ? parameters.value_of(tensor)
                                       : tensor.to_device(device, name);
  };
  visit_linears([&](ops::Linear& linear, std::int64_t) {
    std::vector<ops::LowRank> adapters = std::exchange(linear.adapters, {});
    if (!parameters.contains(linear.weight.codes)) {
      move({&linear});
    } else {
      linear.weight.codes = moved(linear.weight.codes, linear.name);
      if (linear.bias.defined()) linear.bias = moved(linear.bias, linear.name);
    }
    for (ops::LowRank& adapter : adapters) {
      adapter.a.codes = moved(adapter.a.codes, linear.name);
      adapter.b.codes = moved(adapter.b.codes, linear.name);
    }
    linear.adapters = std::move(adapters);
  });
  visit_others(
      [&](const NamedTensor& tensor) { *tensor.value = moved(*tensor.value, tensor.name); });
  move.finish();
  device_ = &device;
}

std::unique_ptr<Network> make_network(const Model& model) {
  return model.config().architecture == Architecture::gpt2 ? make_gpt2_network(model)
                                                           : make_llama_network(model);
}

}  // namespace plimsoll::train
