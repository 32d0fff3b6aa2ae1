// config.json from memory; whatever is accepted must keep what ModelConfig promises.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>

#include "core/error.h"
#include "storage/model_config.h"

namespace {

void require(bool holds) {
  if (!holds) __builtin_trap();
}

void check_promises(const plimsoll::ModelConfig& config) {
  for (std::int64_t count : {config.vocab_size, config.hidden_size, config.layers, config.heads,
                             config.kv_heads, config.intermediate_size, config.max_positions}) {
    // n_inner is four times n_embd when it is absent.
    require(1 <= count && count <= std::int64_t{4} << 31);
  }
  require(config.layers <= 4096);
  require(config.heads % config.kv_heads == 0);
  require(1 <= config.head_dim && config.head_dim <= 256);
  require(config.architecture == plimsoll::Architecture::gpt2 || config.head_dim % 2 == 0);
  require(std::isfinite(config.norm_epsilon) && config.norm_epsilon > 0);
  require(std::isfinite(config.rope_theta) && config.rope_theta >= 1);
  require(std::isfinite(config.rope_scaling.factor) && config.rope_scaling.factor >= 1);
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    require(config.window_of_layer(layer).value_or(1) >= 1);
  }
  require(config.bos_id.value_or(0) >= 0);
  for (int id : config.eos_ids) require(id >= 0);
  require(config.quantization.is_null() || config.quantization.is_object());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    check_promises(plimsoll::parse_model_config(
        std::string(reinterpret_cast<const char*>(data), size), "config.json"));
  } catch (const plimsoll::InputError& error) {
    // One line, and nothing that a terminal would obey.
    for (const char* c = error.what(); *c != '\0'; ++c) {
      require(static_cast<unsigned char>(*c) >= 0x20);
    }
    require(std::strlen(error.what()) <= 1000);
  }
  return 0;
}
