// plimsoll as a library: load a checkpoint, cut text into tokens, generate, look at logits.
//
//   #include <plimsoll/plimsoll.h>
//   auto model = plimsoll::LanguageModel::load("models/demo");
//   std::cout << model.generate("The captain", {.max_new_tokens = 60});
//
// Link with the CMake target plimsoll::plimsoll (find_package(plimsoll)). Every function throws
// plimsoll::api::Error with one line that says what is wrong with what it was given.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#define PLIMSOLL_API __attribute__((visibility("default")))

namespace plimsoll::api {

/// Something given to the library cannot be used; what() is one line.
class PLIMSOLL_API Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct LoadOptions {
  std::string weights;  // "fp32", "bf16", "int8", "nf4-dq", ...; empty: as stored
  bool exact = false;   // all arithmetic in fp32 instead of the CPU's fastest
  int threads = 0;      // 0: every core
};

struct GenerateOptions {
  std::int64_t max_new_tokens = 128;
  double temperature = 0;  // 0: always the likeliest token
  std::int64_t top_k = 0;  // 0: all
  double top_p = 1;
  double min_p = 0;
  double repetition_penalty = 1;
  std::uint64_t seed = 0;
  bool ignore_eos = false;
};

/// Receives the text piece by piece, whole UTF-8 characters only; false stops.
using OnText = std::function<bool(std::string_view piece)>;

/// A model with its tokenizer. Moves, does not copy. One thread at a time may use it.
class PLIMSOLL_API LanguageModel {
 public:
  /// `path`: a Hugging Face checkpoint folder (GPT-2, Llama, Mistral, Qwen2).
  static LanguageModel load(const std::string& path, const LoadOptions& options = {});
  ~LanguageModel();
  LanguageModel(LanguageModel&&) noexcept;
  LanguageModel& operator=(LanguageModel&&) noexcept;

  /// Token ids of UTF-8 text, with BOS where the model's tokenizer adds one.
  std::vector<std::int32_t> encode(std::string_view text) const;
  std::string decode(std::span<const std::int32_t> ids) const;

  /// The continuation of `prompt`, without the prompt.
  std::string generate(std::string_view prompt, const GenerateOptions& options = {},
                       const OnText& on_text = {}) const;

  /// Logits of every position, [ids.size(), vocab_size()] row by row.
  std::vector<float> logits(std::span<const std::int32_t> ids) const;

  std::int64_t vocab_size() const;
  std::int64_t context_length() const;

 private:
  struct State;
  explicit LanguageModel(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace plimsoll::api

namespace plimsoll {
using api::LanguageModel;
}
