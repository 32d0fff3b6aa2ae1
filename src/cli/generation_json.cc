#include "cli/generation_json.h"

#include "core/memory.h"

namespace plimsoll::cli {

nlohmann::json generation_json(const Generation& generation, const Tokenizer* tokenizer,
                               const std::string& model, const ops::Context& context) {
  nlohmann::json json{{"model", model},
                      {"prompt_tokens", generation.prompt_tokens},
                      {"known_tokens", generation.known_tokens},
                      {"ids", generation.ids},
                      {"stop", stop_reason_name(generation.stop)},
                      {"ttft_seconds", generation.prompt_seconds},
                      {"prompt_tokens_per_second", generation.prompt_tokens_per_second()},
                      {"decode_tokens_per_second", generation.decode_tokens_per_second()},
                      {"peak_memory_bytes", ops::peak_memory(context)}};
  for (const auto& [name, value] : ops::settings_of(context)) json[name] = value;
  if (tokenizer != nullptr) json["text"] = tokenizer->decode(generation.ids);
  return json;
}

}  // namespace plimsoll::cli
