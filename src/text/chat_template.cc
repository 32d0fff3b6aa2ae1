#include "text/chat_template.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "core/error.h"
#include "core/quote.h"
#include "storage/atomic_file.h"
#include "storage/json.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/parser.h"
#include "text/jinja/print.h"

namespace plimsoll {

namespace {

namespace fs = std::filesystem;

struct Source {
  std::string text;
  std::string name;
};
using Sources = std::map<std::string, Source, std::less<>>;

/// Far above any template or tokenizer_config.json.
constexpr std::size_t kLargestFile = std::size_t{64} << 20;

/// A template may raise what it likes: line breaks and escape sequences do not reach the terminal.
[[noreturn]] void refuse(const std::string& name, int line, std::string_view message) {
  const bool plain =
      std::ranges::none_of(message, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
  constexpr std::size_t kLongest = 400;
  throw InputError(fmt::format("{}:{}: {}", name, line,
                               plain ? std::string(message) : quote(message, kLongest)));
}

Sources from_jinja_files(const fs::path& directory) {
  Sources sources;
  const auto add = [&](const std::string& name, const fs::path& file) {
    sources[name] = {read_text_file(file, kLargestFile), file.string()};
  };
  if (const fs::path file = directory / "chat_template.jinja"; fs::exists(file)) {
    add("default", file);
  }
  const fs::path more = directory / "additional_chat_templates";
  if (!fs::is_directory(more)) return sources;
  for (const fs::directory_entry& entry : fs::directory_iterator(more)) {
    if (entry.path().extension() == ".jinja") add(entry.path().stem().string(), entry.path());
  }
  return sources;
}

/// "chat_template" of a JSON file: a text, or a list of {name, template}.
Sources from_json_file(const fs::path& file) {
  Sources sources;
  if (!fs::exists(file)) return sources;
  const std::string where = file.string();
  const Json json = read_json_file(file);
  const Json* found = find_field(json, "chat_template");
  if (found == nullptr) return sources;
  if (!found->is_array()) {
    sources["default"] = {string_value(*found, "chat_template", where), where};
    return sources;
  }
  for (const Json& entry : *found) {
    const std::string name = require_string(entry, "name", where + ": chat_template");
    sources[name] = {require_string(entry, "template", where + ": chat_template"), where};
  }
  return sources;
}

/// The first place that has any template, in the order of Hugging Face's transformers.
Sources all_sources(const fs::path& directory) {
  Sources sources = from_jinja_files(directory);
  if (sources.empty()) sources = from_json_file(directory / "chat_template.json");
  if (sources.empty()) sources = from_json_file(directory / "tokenizer_config.json");
  return sources;
}

}  // namespace

ChatTemplate ChatTemplate::parse(std::string source, std::string name) {
  ChatTemplate made;
  made.name_ = std::move(name);
  made.source_ = std::move(source);
  try {
    made.program_ = jinja::parse_program(made.source_);
  } catch (const jinja::SyntaxError& error) {
    refuse(made.name_, error.line, error.what());
  }
  return made;
}

std::optional<ChatTemplate> ChatTemplate::load(const fs::path& directory, std::string_view which) {
  Sources sources = all_sources(directory);
  if (sources.empty()) return std::nullopt;
  const auto found = sources.find(which);
  if (found != sources.end()) {
    return parse(std::move(found->second.text), std::move(found->second.name));
  }
  std::vector<std::string> names;
  for (const auto& [name, source] : sources) names.push_back('\'' + name + '\'');
  throw InputError(directory.string(), "chat template", fmt::format("'{}'", which),
                   fmt::format("one of {}", fmt::join(names, ", ")));
}

std::string ChatTemplate::render(const nlohmann::ordered_json& variables,
                                 const RenderLimits& limits) const {
  jinja::Runtime runtime(limits);
  jinja::Interpreter interpreter(*program_, runtime);
  try {
    const jinja::Value values = jinja::from_json(runtime, variables);
    if (values.dict() == nullptr) throw InputError(name_, "variables", "no object", "an object");
    return interpreter.run(values);
  } catch (const jinja::TemplateError& error) {
    refuse(name_, interpreter.line(), error.what());
  }
}

nlohmann::ordered_json template_variables(const fs::path& directory) {
  constexpr const char* kTokens[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                     "pad_token", "cls_token", "mask_token"};
  nlohmann::ordered_json variables = nlohmann::ordered_json::object();
  for (const char* file : {"special_tokens_map.json", "tokenizer_config.json"}) {
    const fs::path path = directory / file;
    if (!fs::exists(path)) continue;
    const Json json = read_json_file(path);
    for (const char* token : {"bos_token", "eos_token"}) {
      if (json.is_object() && json.contains(token) && json[token].is_null()) {
        variables[token] = nullptr;
      }
    }
    for (const char* token : kTokens) {
      const Json* found = find_field(json, token);
      if (found == nullptr) continue;
      const std::string where = path.string();
      variables[token] = found->is_object()
                             ? require_string(*found, "content", where + ": " + token)
                             : string_value(*found, token, where);
    }
  }
  return variables;
}

}  // namespace plimsoll
