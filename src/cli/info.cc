// plimsoll info: what a model is and what it weighs.
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "core/units.h"
#include "kv/block_pool.h"
#include "model/inventory.h"
#include "model/stored_parts.h"

namespace plimsoll::cli {

namespace {

/// What a quantised checkpoint holds, as it is stored.
void add_stored(const std::string& name, const ModelConfig& config,
                const StoredQuantization& stored, nlohmann::ordered_json& json) {
  json["weights"] = quant::format_name(stored.format);
  if (stored.calibration) json["calibrated_on"] = stored.calibration->text;
  std::int64_t total = 0;
  for (const auto& [part, found] : stored_parts(config, Checkpoint::open(name), stored)) {
    json["bytes_by_part"][part] = found.bytes;
    if (!found.formats.empty())
      json["format_by_part"][part] = fmt::format("{}", fmt::join(found.formats, "+"));
    total += found.bytes;
  }
  json["bytes"] = total;
}

nlohmann::ordered_json describe_model(const std::string& name) {
  const ModelConfig c = load_config(name);
  const std::vector<InventoryLoader::Entry> entries = inventory(c);
  nlohmann::ordered_json json{{"model", name},
                              {"architecture", architecture_name(c.architecture)},
                              {"layers", c.layers},
                              {"hidden_size", c.hidden_size},
                              {"heads", c.heads},
                              {"kv_heads", c.kv_heads},
                              {"head_dim", c.head_dim},
                              {"intermediate_size", c.intermediate_size},
                              {"vocab_size", c.vocab_size},
                              {"context", c.max_positions}};
  json["sliding_window"] = c.sliding_window ? nlohmann::ordered_json(*c.sliding_window) : nullptr;
  json["dtype"] = c.dtype ? nlohmann::ordered_json(dtype_name(*c.dtype)) : nullptr;
  std::int64_t parameters = 0;
  for (const auto& entry : entries) parameters += entry.rows * entry.columns;
  json["parameters"] = parameters;
  const kv::KvShape kv{c.layers, c.kv_heads, c.head_dim};
  json["kv_bytes_per_token"] = kv.bytes_per_token();
  const StoredQuantization stored =
      is_shape(name) ? StoredQuantization{}
                     : stored_quantization(c.quantization, name + "/config.json");
  const bool quantised = stored.method != StoredQuantization::Method::none;
  if (quantised) {
    add_stored(name, c, stored, json);
  } else {
    for (const auto& [part, bytes] : bytes_by_part(c, std::nullopt))
      json["bytes_by_part"][part] = bytes;
  }
  for (const quant::WeightFormat format : quant::all_formats()) {
    // What is quantised can be decoded, not turned into another quantised format.
    if (quantised && !quant::is_dense(format)) continue;
    json["bytes_by_format"][std::string(quant::format_name(format))] = total_bytes(c, format);
  }
  return json;
}

void run(const std::string& name, const std::string& format) {
  const nlohmann::ordered_json json = describe_model(name);
  if (format == "json") {
    std::cout << json.dump() << '\n';
    return;
  }
  for (const auto& [key, value] : json.items()) {
    if (key == "parameters") {
      std::cout << fmt::format("{:<20} {} ({})\n", key, format_count(value.get<double>()),
                               value.get<std::int64_t>());
    } else if (key == "kv_bytes_per_token" || key == "bytes") {
      std::cout << fmt::format("{:<20} {}\n", key, format_bytes(value.get<std::uint64_t>()));
    } else if (value.is_object()) {
      std::cout << key << '\n';
      for (const auto& [inner, content] : value.items()) {
        std::cout << fmt::format("  {:<18} {:>10}\n", inner,
                                 content.is_string() ? content.get<std::string>()
                                                     : format_bytes(content.get<std::uint64_t>()));
      }
    } else {
      std::cout << fmt::format("{:<20} {}\n", key,
                               value.is_string() ? value.get<std::string>()
                               : value.is_null() ? "none"
                                                 : value.dump());
    }
  }
}

}  // namespace

void add_info(CLI::App& app) {
  struct InfoFlags {
    std::string model, format = "text";
  };
  auto flags = std::make_shared<InfoFlags>();
  CLI::App* command = app.add_subcommand(
      "info", "Architecture, parameters and bytes of a model, by part and format");
  command->footer(
      "Examples:\n  plimsoll info models/demo\n  plimsoll info shape:mistral-7b --format json");
  command->add_option("MODEL,-m,--model", flags->model, "Checkpoint folder or shape:NAME")
      ->required();
  add_format_flag(*command, flags->format);
  command->callback([flags] { run(flags->model, flags->format); });
}

}  // namespace plimsoll::cli
