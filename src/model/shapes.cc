#include "model/shapes.h"

#include <fmt/format.h>

#include <array>

#include "core/error.h"

namespace plimsoll {

namespace {

struct Row {
  std::string_view name;
  Architecture architecture;
  std::int64_t vocab, hidden, layers, heads, kv_heads, ffn, positions;
  double rope_theta;
  std::int64_t window;  // 0: none
};

// From the published config.json of each model.
constexpr std::array<Row, 6> kRows{{
    {"gpt2", Architecture::gpt2, 50257, 768, 12, 12, 12, 3072, 1024, 0, 0},
    {"gpt2-xl", Architecture::gpt2, 50257, 1600, 48, 25, 25, 6400, 1024, 0, 0},
    {"llama-2-7b", Architecture::llama, 32000, 4096, 32, 32, 32, 11008, 4096, 1e4, 0},
    {"llama-3-8b", Architecture::llama, 128256, 4096, 32, 32, 8, 14336, 8192, 5e5, 0},
    {"mistral-7b", Architecture::mistral, 32000, 4096, 32, 32, 8, 14336, 32768, 1e4, 4096},
    {"tinyllama-1.1b", Architecture::llama, 32000, 2048, 22, 32, 4, 5632, 2048, 1e4, 0},
}};

}  // namespace

std::optional<ModelConfig> config_of_shape(std::string_view model) {
  constexpr std::string_view kPrefix = "shape:";
  if (!model.starts_with(kPrefix)) return std::nullopt;
  const std::string_view name = model.substr(kPrefix.size());
  for (const Row& row : kRows) {
    if (row.name != name) continue;
    ModelConfig c;
    c.architecture = row.architecture;
    c.model_type = architecture_name(row.architecture);
    c.vocab_size = row.vocab;
    c.hidden_size = row.hidden;
    c.layers = row.layers;
    c.heads = row.heads;
    c.kv_heads = row.kv_heads;
    c.head_dim = row.hidden / row.heads;
    c.intermediate_size = row.ffn;
    c.max_positions = row.positions;
    c.norm_epsilon = 1e-5f;
    c.dtype = DType::bf16;
    if (row.architecture == Architecture::gpt2) {
      c.activation = Activation::gelu_tanh;
      c.tie_word_embeddings = c.qkv_bias = c.output_bias = c.mlp_bias = true;
    } else {
      c.rope_theta = row.rope_theta;
    }
    if (row.window > 0) c.sliding_window = row.window;
    return c;
  }
  throw InputError(std::string(model), "shape", fmt::format("\"{}\"", name),
                   fmt::format("one of {}", fmt::join(shape_names(), ", ")));
}

std::vector<std::string> shape_names() {
  std::vector<std::string> names;
  for (const Row& row : kRows) names.emplace_back(row.name);
  return names;
}

}  // namespace plimsoll
