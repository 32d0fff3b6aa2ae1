// How a text is cut into windows and which tokens count: perplexities of different protocols must
// never be compared.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace plimsoll {

///   blocks      disjoint windows of the text encoded once, the tail dropped; every token but each
///               window's first is scored (GPTQ papers, window 2048)
///   hf_strided  windows of W every S tokens; the last `end - previous end` tokens of each are
///   scored,
///               and a window's mean loss is weighted by (scored labels - 1), as the loop in
///               Hugging Face's documentation does
///   llama_cpp   disjoint windows whose first token is replaced by BOS where the model adds one;
///               positions W/2 to W-2 are scored
enum class Protocol { blocks, hf_strided, llama_cpp };

std::string_view protocol_name(Protocol protocol);
/// InputError listing the names.
Protocol protocol_from_name(std::string_view name);

struct ProtocolOptions {
  Protocol protocol = Protocol::blocks;
  std::int64_t window = 0;  // 0: the protocol's default, at most the model's context
  std::int64_t stride = 0;  // hf_strided only; 0: half the window
};

/// One pass of the model: tokens [begin, end) of the text, of which those from `first_scored` on
/// are predicted (each from what stands before it in the window).
struct Window {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t first_scored = 0;  // > begin
  double weight = 1;              // of each scored token in the mean
  bool bos_first = false;         // the first token is replaced by BOS
};

/// `options` with defaults filled in for a model of `max_positions`, checked: InputError naming the
/// flag. RoPE models may go beyond with `allow_long`.
ProtocolOptions completed(const ProtocolOptions& options, std::int64_t max_positions);

/// InputError when `tokens` do not fill the windows that the protocol needs.
std::vector<Window> windows_of(const ProtocolOptions& options, std::int64_t tokens,
                               bool model_adds_bos);

}  // namespace plimsoll
