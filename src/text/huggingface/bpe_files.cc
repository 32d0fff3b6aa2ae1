// The settings and merges of a BPE model, from tokenizer.json and from merges.txt.
#include "text/huggingface/bpe_model.h"

namespace plimsoll {

namespace {

std::pair<std::string, std::string> split_pair(std::string_view line, const std::string& place) {
  const std::size_t space = line.find(' ');
  if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos) {
    throw InputError(place, "merge", quote(line), "two pieces with a space between");
  }
  return {std::string(line.substr(0, space)), std::string(line.substr(space + 1))};
}

}  // namespace

BpeSettings BpeSettings::read(const Json& model, const std::string& where) {
  BpeSettings settings;
  settings.unk_token = find_string(model, "unk_token", where);
  settings.continuing_subword_prefix =
      find_string(model, "continuing_subword_prefix", where).value_or("");
  settings.end_of_word_suffix = find_string(model, "end_of_word_suffix", where).value_or("");
  settings.fuse_unk = find_bool(model, "fuse_unk", where).value_or(false);
  settings.byte_fallback = find_bool(model, "byte_fallback", where).value_or(false);
  settings.ignore_merges = find_bool(model, "ignore_merges", where).value_or(false);
  if (const double dropout = find_number(model, "dropout", where).value_or(0); dropout != 0) {
    throw InputError(where, "dropout", fmt::format("{}", dropout),
                     "none: ids would be different every time");
  }
  return settings;
}

Merges read_merges(const Json& merges, const std::string& where) {
  Merges pairs;
  pairs.reserve(merges.size());
  for (std::size_t i = 0; i < merges.size(); ++i) {
    const std::string place = fmt::format("{}: merges[{}]", where, i);
    if (merges[i].is_string()) {
      const auto& line = merges[i].get_ref<const std::string&>();
      if (!line.starts_with("#version")) pairs.push_back(split_pair(line, place));
      continue;
    }
    const Json& pair = array_value(merges[i], "merge", place);
    if (pair.size() != 2) {
      throw InputError(place, "merge", fmt::format("{} values", pair.size()), "two pieces");
    }
    pairs.emplace_back(string_value(pair[0], "merge", place),
                       string_value(pair[1], "merge", place));
  }
  return pairs;
}

Merges parse_merges(std::string_view text, const std::string& where) {
  Merges pairs;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with("#version")) continue;
    pairs.push_back(split_pair(line, fmt::format("{}: line {}", where, number)));
  }
  return pairs;
}

}  // namespace plimsoll
