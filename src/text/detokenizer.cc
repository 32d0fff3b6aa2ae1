#include "text/detokenizer.h"

namespace plimsoll {

StreamingDetokenizer::StreamingDetokenizer(const Tokenizer& tokenizer, bool skip_special)
    : tokenizer_(&tokenizer),
      skip_special_(skip_special),
      stream_(tokenizer.decode_stream(skip_special)) {}

std::string StreamingDetokenizer::push(std::int32_t id) {
  std::string text;
  stream_->push(id, text);
  return text;
}

std::string StreamingDetokenizer::finish() {
  std::string text;
  stream_->finish(text);
  stream_ = tokenizer_->decode_stream(skip_special_);
  return text;
}

}  // namespace plimsoll
