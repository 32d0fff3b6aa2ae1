// A SentencePiece model from memory: read, then used in both directions. SentencePiece itself is
// part of what runs here: what it would trust has to be checked before it sees it.
#include <cstdint>

#include "text/sentencepiece/sentencepiece_tokenizer.h"
#include "tokenizer_checks.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  plimsoll::fuzz::expect_result_or_input_error([&] {
    const auto tokenizer = plimsoll::parse_sentencepiece(
        {reinterpret_cast<const char*>(data), size}, {}, "tokenizer.model");
    plimsoll::fuzz::exercise(*tokenizer);
  });
  return 0;
}
