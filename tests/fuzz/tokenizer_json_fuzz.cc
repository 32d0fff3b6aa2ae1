// A tokenizer.json from memory: read, then used in both directions.
#include <cstdint>

#include "text/huggingface/json_tokenizer.h"
#include "tokenizer_checks.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  plimsoll::fuzz::expect_result_or_input_error([&] {
    const plimsoll::Json json =
        plimsoll::parse_json({reinterpret_cast<const char*>(data), size}, "tokenizer.json");
    const plimsoll::JsonTokenizer tokenizer(plimsoll::read_tokenizer_json(json, "tokenizer.json"),
                                            {}, "tokenizer.json");
    plimsoll::fuzz::exercise(tokenizer);
  });
  return 0;
}
