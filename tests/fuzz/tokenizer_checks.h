// What any tokenizer that could be loaded must do without harm.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "core/error.h"
#include "text/detokenizer.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace plimsoll::fuzz {

inline void require(bool condition) {
  if (!condition) __builtin_trap();
}

/// Runs `body`; an InputError is fine if it is one line that a terminal can show.
template <class Body>
void expect_result_or_input_error(const Body& body) {
  try {
    body();
  } catch (const InputError& error) {
    for (const char* c = error.what(); *c != '\0'; ++c) {
      require(static_cast<unsigned char>(*c) >= 0x20);
    }
  }
}

inline void exercise(const Tokenizer& tokenizer) {
  const std::string text =
      "ab <eot> a  b\n\u00E9\u65E5 12 it's tool! \xF0\x9F\x98\x80 a_b\u2581" + std::string(70, 'a');
  for (const bool parse_special : {false, true}) {
    expect_result_or_input_error([&] {
      const EncodeOptions options{.parse_special = parse_special};
      const Encoding encoding = tokenizer.encode_with_spans(text, options);
      require(encoding.ids == tokenizer.encode(text, options));
      for (const std::int32_t id : encoding.ids) tokenizer.piece(id);
      for (const TokenSpan& span : encoding.spans) {
        require(span.begin <= span.end && span.end <= text.size());
      }
      tokenizer.decode(encoding.ids);
    });
  }
  expect_result_or_input_error([&] {
    std::vector<std::int32_t> ids;
    const auto size = std::min<std::int64_t>(tokenizer.vocab_size(), 300);
    for (std::int64_t i = 0; i < size; ++i) ids.push_back(static_cast<std::int32_t>(i * 7 % size));
    StreamingDetokenizer detokenizer(tokenizer);
    std::string joined;
    for (const std::int32_t id : ids) {
      const std::string part = detokenizer.push(id);
      require(!utf8::find_invalid(part));
      joined += part;
    }
    joined += detokenizer.finish();
    require(joined == tokenizer.decode(ids));
  });
}

}  // namespace plimsoll::fuzz
