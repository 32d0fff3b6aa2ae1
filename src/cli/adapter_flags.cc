#include "cli/adapter_flags.h"

#include <charconv>
#include <cmath>
#include <filesystem>

#include "model/peft_adapter.h"

namespace plimsoll::cli {

namespace {

/// A folder may have colons in its name: what exists as a whole is a folder.
std::pair<std::string, float> parse(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos || std::filesystem::exists(text)) return {text, 1.0f};
  float weight = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, weight);
  if (error != std::errc{} || stop != end || !std::isfinite(weight)) {
    throw InputError("--adapter", "weight", text.substr(colon + 1), "a number: DIR:0.5");
  }
  return {text.substr(0, colon), weight};
}

}  // namespace

void AdapterFlags::attach(Model& model, const std::string& model_name) const {
  for (const std::string& adapter : adapters) {
    const auto [folder, weight] = parse(adapter);
    attach_adapter(model, model_name, load_adapter(folder), weight);
  }
}

CLI::Option* add_adapter_flags(CLI::App& command, AdapterFlags& flags) {
  return command
      .add_option("--adapter", flags.adapters,
                  "LoRA adapter as PEFT stores it: DIR, or DIR:WEIGHT; may be given again")
      ->allow_extra_args(false);
}

}  // namespace plimsoll::cli
