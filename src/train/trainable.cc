#include "train/trainable.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include "core/quote.h"
#include "core/rng.h"

namespace plimsoll::train {

namespace {

constexpr std::string_view kLastLayers = "last-layers=";

bool matches(const std::string& module, const std::string& target) {
  return module == target || module.ends_with("." + target);
}

std::string last_part(const std::string& module) {
  return module.substr(module.rfind('.') + 1);
}

/// A matrix of a low-rank pair.
quant::Matrix matrix_of(const Tensor& values) {
  quant::Matrix matrix;
  matrix.codes = values;
  matrix.rows = values.dim(0);
  matrix.columns = values.dim(1);
  matrix.source_dtype = DType::f32;
  return matrix;
}

void add_pair(const std::string& module, const ops::LowRank& adapter, Parameters& parameters) {
  parameters.add("base_model.model." + module + ".lora_A.weight", adapter.a.codes);
  parameters.add("base_model.model." + module + ".lora_B.weight", adapter.b.codes);
}

/// The target's modules, "all-linear" spelt out.
std::vector<std::string> expanded(Network& network, const std::vector<std::string>& targets) {
  std::set<std::string> parts;
  std::vector<std::string> modules;
  network.visit_linears([&](ops::Linear& linear, std::int64_t layer) {
    modules.push_back(linear.name);
    if (layer < network.config().layers) parts.insert(last_part(linear.name));
  });
  if (targets == std::vector<std::string>{"all-linear"}) return {parts.begin(), parts.end()};
  for (const std::string& target : targets) {
    if (std::ranges::none_of(modules, [&](const auto& name) { return matches(name, target); })) {
      throw InputError("--targets", "module", quote(target),
                       fmt::format("all-linear, or some of {}, lm_head", fmt::join(parts, ", ")));
    }
  }
  return targets;
}

/// An fp32 copy in place of a dense tensor.
Tensor private_copy(const Tensor& tensor) {
  return tensor.dtype() == DType::f32 ? tensor.clone() : converted(tensor, DType::f32);
}

void make_private(quant::Matrix& matrix) {
  matrix.codes = private_copy(matrix.codes);
  matrix.format = quant::WeightFormat::fp32;
  matrix.source_dtype = DType::f32;
}

}  // namespace

Trained trained_from_name(const std::string& name) {
  if (name == "lora") return {};
  if (name == "full") return {Trained::Kind::full, 0};
  if (name.starts_with(kLastLayers)) {
    std::int64_t layers = 0;
    const char* end = name.data() + name.size();
    const auto [stop, error] = std::from_chars(name.data() + kLastLayers.size(), end, layers);
    if (error == std::errc{} && stop == end && layers > 0)
      return {Trained::Kind::last_layers, layers};
  }
  throw InputError("--train", "what", quote(name), "lora, last-layers=N (N at least 1) or full");
}

std::string trained_name(const Trained& trained) {
  switch (trained.kind) {
    case Trained::Kind::lora:
      return "lora";
    case Trained::Kind::full:
      return "full";
    case Trained::Kind::last_layers:
      return fmt::format("{}{}", kLastLayers, trained.last_layers);
  }
  PLIMSOLL_CHECK(false);
}

void add_existing_adapters(Network& network, Parameters& parameters) {
  network.visit_linears([&](ops::Linear& linear, std::int64_t) {
    for (const ops::LowRank& adapter : linear.adapters) add_pair(linear.name, adapter, parameters);
  });
}

std::vector<AdapterLayer> add_adapters(Network& network, AdapterConfig& config, std::uint64_t seed,
                                       Parameters& parameters) {
  config.targets = expanded(network, config.targets);
  config.fan_in_fan_out = network.config().architecture == Architecture::gpt2;
  const float scale = config.scale(config.rank, config.alpha);
  std::vector<AdapterLayer> layers;
  network.visit_linears([&](ops::Linear& linear, std::int64_t) {
    const auto wanted = [&](const std::string& target) { return matches(linear.name, target); };
    if (std::ranges::none_of(config.targets, wanted)) return;
    AdapterLayer layer{linear.name, Tensor::empty(DType::f32, {config.rank, linear.weight.columns}),
                       Tensor::zeros(DType::f32, {linear.weight.rows, config.rank}), scale};
    // Kaiming's uniform with a = sqrt(5), as PEFT has it: up to 1 / sqrt(in).
    const double bound = 1 / std::sqrt(static_cast<double>(linear.weight.columns));
    Rng rng(seed, layers.size());
    for (float& value : layer.a.span<float>())
      value = static_cast<float>(bound * (2 * rng.uniform() - 1));
    linear.adapters.push_back({matrix_of(layer.a), matrix_of(layer.b), scale});
    add_pair(linear.name, linear.adapters.back(), parameters);
    layers.push_back(std::move(layer));
  });
  return layers;
}

std::vector<AdapterLayer> add_adapter(Network& network, const Adapter& beginning,
                                      AdapterConfig& config, Parameters& parameters) {
  LinearsByName linears;
  network.visit_linears(
      [&](ops::Linear& linear, std::int64_t) { linears.emplace(linear.name, &linear); });
  attach_adapter(linears, config.base, beginning, 1);
  config.fan_in_fan_out = network.config().architecture == Architecture::gpt2;
  std::vector<AdapterLayer> layers;
  std::set<std::string> modules;
  for (const AdapterLayer& layer : beginning.layers) {
    const ops::LowRank& attached = linears.at(layer.module)->adapters.back();
    layers.push_back({layer.module, attached.a.codes, attached.b.codes, layer.scale});
    add_pair(layer.module, attached, parameters);
    modules.insert(layer.module);
  }
  const bool targets_say_so = std::ranges::all_of(linears, [&](const auto& linear) {
    return modules.contains(linear.first) ==
           std::ranges::any_of(config.targets, [&](const std::string& target) {
             return matches(linear.first, target);
           });
  });
  if (!targets_say_so) config.targets.assign(modules.begin(), modules.end());
  return layers;
}

void add_dense(Network& network, const Trained& trained, Parameters& parameters) {
  const std::int64_t layers = network.config().layers;
  if (trained.kind == Trained::Kind::last_layers && trained.last_layers > layers) {
    throw InputError("--train", "last-layers", fmt::format("{}", trained.last_layers),
                     fmt::format("at most the model's {}", layers));
  }
  const std::int64_t first =
      trained.kind == Trained::Kind::full ? -1 : layers - trained.last_layers;
  const Tensor* tied = nullptr;  // the embedding, where the head is the same storage
  const std::byte* embedding = nullptr;
  network.visit_others([&](const NamedTensor& tensor) {
    const bool is_table = tensor.matrix != nullptr;
    if (is_table && embedding == nullptr) {
      embedding = tensor.value->raw();
      tied = tensor.value;
    }
    if (tensor.layer < first) return;
    if (is_table) {
      make_private(*tensor.matrix);
    } else {
      *tensor.value = private_copy(*tensor.value);
    }
    parameters.add(tensor.name, *tensor.value);
  });
  network.visit_linears([&](ops::Linear& linear, std::int64_t layer) {
    if (layer == layers && linear.weight.codes.raw() == embedding) {
      linear.weight.codes = *tied;
      if (first < 0) linear.weight.format = quant::WeightFormat::fp32;
      return;
    }
    // The head belongs to no layer: it stays as it is unless all is trained.
    if (layer < first || (layer == layers && first >= 0)) return;
    if (!quant::is_dense(linear.weight.format)) {
      throw InputError(
          "--train", trained_name(trained),
          fmt::format("{} in {}", linear.name, quant::format_name(linear.weight.format)),
          "dense weights; quantised ones can only be trained with lora");
    }
    make_private(linear.weight);
    parameters.add(linear.name + ".weight", linear.weight.codes);
    if (linear.bias.defined()) {
      linear.bias = linear.bias.clone();
      parameters.add(linear.name + ".bias", linear.bias);
    }
  });
}

}  // namespace plimsoll::train
