// The "post_processor" of a tokenizer.json, as far as one text is concerned: what goes around it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "storage/json.h"

namespace plimsoll {

struct PostProcessor {
  std::vector<std::int32_t> front, back;

  PostProcessor() = default;
  /// Sequence, TemplateProcessing, BertProcessing, RobertaProcessing and ByteLevel (which adds
  /// nothing). InputError for any other type and for ids of `vocab_size` or more.
  PostProcessor(const Json& json, const std::string& where, std::int64_t vocab_size);
};

}  // namespace plimsoll
