#include "text/huggingface/post_processor.h"

#include "text/huggingface/pipeline_json.h"

namespace plimsoll {

namespace {

using Ids = std::vector<std::int32_t>;

struct Frame {
  Ids front, back;
};

/// Template pieces of one text: special tokens around {"Sequence": {"id": "A"}}.
Frame read_template(const Json& part, const std::string& where, std::int64_t vocab_size) {
  Frame frame;
  bool seen_text = false;
  for (const Json& piece : require_array(part, "single", where)) {
    if (find_field(piece, "Sequence") != nullptr) {
      if (seen_text) throw InputError(where, "single", "the text twice", "the text once");
      seen_text = true;
      continue;
    }
    const std::string& id =
        require_string(require_object(piece, "SpecialToken", where), "id", where);
    const Json& token = require_object(require_object(part, "special_tokens", where), id, where);
    for (const Json& value : require_array(token, "ids", where)) {
      (seen_text ? frame.back : frame.front)
          .push_back(static_cast<std::int32_t>(
              int_value(value, quote(id), where + ": special_tokens", 0, vocab_size - 1)));
    }
  }
  if (!seen_text) throw InputError(where, "single", "no Sequence", "the text's place");
  return frame;
}

/// BERT's and RoBERTa's pair of [string, id].
std::int32_t read_pair(const Json& part, std::string_view field, const std::string& where,
                       std::int64_t vocab_size) {
  const Json& pair = require_array(part, field, where);
  if (pair.size() != 2) {
    throw InputError(where, field, fmt::format("{} values", pair.size()), "a token and its id");
  }
  return static_cast<std::int32_t>(int_value(pair[1], field, where, 0, vocab_size - 1));
}

}  // namespace

PostProcessor::PostProcessor(const Json& json, const std::string& where, std::int64_t vocab_size) {
  for_each_part(json, "processors", where,
                [&](const Json& part, const std::string& type, const std::string& place) {
                  Frame frame;
                  if (type == "TemplateProcessing") {
                    frame = read_template(part, place, vocab_size);
                  } else if (type == "BertProcessing" || type == "RobertaProcessing") {
                    frame.front = {read_pair(part, "cls", place, vocab_size)};
                    frame.back = {read_pair(part, "sep", place, vocab_size)};
                  } else if (type != "ByteLevel") {
                    refuse_type(type, place);
                  }
                  front.insert(front.begin(), frame.front.begin(), frame.front.end());
                  back.insert(back.end(), frame.back.begin(), frame.back.end());
                });
}

}  // namespace plimsoll
