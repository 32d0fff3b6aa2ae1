// A template of any bytes, rendered with one conversation under small limits. An InputError is
// fine.
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "core/error.h"
#include "text/chat_template.h"

namespace {

const nlohmann::ordered_json& variables() {
  static const nlohmann::ordered_json kVariables = nlohmann::ordered_json::parse(R"({
    "bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": true,
    "numbers": [3, 1.5, -2, true, null],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"x": 1}}}],
    "messages": [
      {"role": "system", "content": "Be brief, é 你 🙂."},
      {"role": "user", "content": " Hello\n"},
      {"role": "assistant", "content": "", "tool_calls": [{"id": "a", "function": {"name": "f"}}]},
      {"role": "tool", "content": "1"}
    ]
  })");
  return kVariables;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  plimsoll::RenderLimits limits;
  limits.steps = 20'000;
  limits.output_bytes = 64 << 10;
  limits.value_bytes = 4 << 20;
  limits.time = std::chrono::milliseconds(1000);
  try {
    const std::string source(reinterpret_cast<const char*>(data), size);
    const std::string text =
        plimsoll::ChatTemplate::parse(source, "fuzz").render(variables(), limits);
    if (text.size() > limits.output_bytes) __builtin_trap();
  } catch (const plimsoll::InputError&) {
    // What a hostile template deserves.
  }
  return 0;
}
