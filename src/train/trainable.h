// What is trained: adapters put beside the layers, or the dense weights themselves.
#pragma once

#include <string>
#include <vector>

#include "model/peft_adapter.h"
#include "train/network.h"

namespace plimsoll::train {

/// "lora", "last-layers=N" or "full".
struct Trained {
  enum class Kind { lora, last_layers, full };
  Kind kind = Kind::lora;
  std::int64_t last_layers = 0;
};
/// InputError naming --train.
Trained trained_from_name(const std::string& name);
std::string trained_name(const Trained& trained);

/// The adapters that the network's layers hold already (attach_adapter), as parameters under PEFT's
/// names.
void add_existing_adapters(Network& network, Parameters& parameters);

/// New adapters beside every layer that `config.targets` names ("all-linear": every one but the
/// head; else module names, or their ends), A random as PEFT initialises it, B zero. Fills in
/// config.targets and fan_in_fan_out as PEFT would write them. InputError naming --targets, with
/// the model's layers, when a target matches none.
std::vector<AdapterLayer> add_adapters(Network& network, AdapterConfig& config, std::uint64_t seed,
                                       Parameters& parameters);

/// The layers of `beginning` beside the network's, to be trained further; `config` is that
/// adapter's but for its base. Where its targets are no list of modules that says the same (PEFT
/// allows regular expressions), config.targets becomes the modules' full names. InputError naming
/// both models when a layer is not there or has another shape.
std::vector<AdapterLayer> add_adapter(Network& network, const Adapter& beginning,
                                      AdapterConfig& config, Parameters& parameters);

/// fp32 copies of the dense weights in the last layers, the final norm included, or of all.
/// InputError when a matrix is quantised.
void add_dense(Network& network, const Trained& trained, Parameters& parameters);

}  // namespace plimsoll::train
