#include "cli/command.h"

#include <charconv>
#include <iostream>
#include <iterator>

#include "core/quote.h"
#include "storage/atomic_file.h"
#include "text/utf8.h"

namespace plimsoll::cli {

std::unique_ptr<Model> ModelFlags::load(std::int64_t positions) const {
  return load(positions, weights.calibration(model));
}

std::unique_ptr<Model> ModelFlags::load(
    std::int64_t positions, const std::optional<compress::CalibrationOptions>& calibration) const {
  LoadOptions options;
  options.context = positions;
  options.progress = progress_bar();
  options.device = opened_device(device);
  options.weights.pack = options.device == nullptr;
  auto loaded = weights.load(model, options, calibration);
  adapters.attach(*loaded, model);
  if (options.device != nullptr) move_model(*loaded, model, *options.device);
  return loaded;
}

void add_model_flags(CLI::App& command, ModelFlags& flags, const std::string& default_compute) {
  command
      .add_option("MODEL,-m,--model", flags.model,
                  "Checkpoint folder, or shape:NAME for random weights")
      ->required();
  add_weight_flags(command, flags.weights);
  add_adapter_flags(command, flags.adapters);
  add_context_flags(command, flags, default_compute);
  command.add_flag("--allow-long", flags.allow_long,
                   "Go beyond the context that a RoPE model was made for");
}

void add_format_flag(CLI::App& command, std::string& format) {
  command.add_option("--format", format, "Output: text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
}

std::vector<std::int32_t> parse_ids(const std::string& text, const std::string& flag) {
  const std::string list = text.starts_with('@') ? read_text_file(text.substr(1)) : text;
  std::vector<std::int32_t> ids;
  std::string_view rest = list;
  const auto skip_space = [&] {
    rest.remove_prefix(std::min(rest.find_first_not_of(" \t\r\n"), rest.size()));
  };
  bool after_comma = false;
  for (skip_space(); !rest.empty() || after_comma; skip_space()) {
    const std::string_view word = rest.substr(0, rest.find_first_of(", \t\r\n"));
    std::int32_t id = 0;
    const auto [stop, error] = std::from_chars(word.data(), word.data() + word.size(), id);
    if (error != std::errc{} || stop != word.data() + word.size()) {
      throw InputError(flag, "token id", quote(word), "whole numbers separated by commas");
    }
    ids.push_back(id);
    rest.remove_prefix(word.size());
    skip_space();
    after_comma = rest.starts_with(',');
    if (after_comma) rest.remove_prefix(1);
  }
  if (ids.empty()) throw InputError(flag, "token ids", "none", "at least one");
  return ids;
}

std::string read_utf8(const std::string& path) {
  std::string text = path == "-" ? std::string(std::istreambuf_iterator<char>(std::cin), {})
                                 : read_text_file(path);
  if (const auto bad = find_invalid_utf8(text)) {
    throw InputError(path == "-" ? "standard input" : path, fmt::format("byte {}", *bad),
                     fmt::format("0x{:02x}", static_cast<unsigned char>(text[*bad])), "UTF-8 text");
  }
  return text;
}

}  // namespace plimsoll::cli
