#include "text/jinja/value.h"

#include <fmt/format.h>

#include "text/jinja/characters.h"
#include "text/jinja/operators.h"

namespace plimsoll::jinja {

namespace {
constexpr int kMostTuplesInAKey = 6;

std::string_view kind_name(Sequence::Kind kind) {
  switch (kind) {
    case Sequence::Kind::list:
      return "list";
    case Sequence::Kind::tuple:
    case Sequence::Kind::group:
      return "tuple";
    case Sequence::Kind::range:
      return "range";
    case Sequence::Kind::keys:
      return "dict_keys";
    case Sequence::Kind::values:
      return "dict_values";
    case Sequence::Kind::items:
      return "dict_items";
    case Sequence::Kind::generator:
      return "generator";
  }
  return "";
}
}  // namespace

Text::Text(std::string text, bool is_markup)
    : bytes(std::move(text)), length(count_code_points(bytes)), markup(is_markup) {}

std::size_t KeyHash::operator()(const Value& key) const {
  return hash(key, kMostTuplesInAKey);
}

std::size_t KeyHash::hash(const Value& key, int levels) {
  if (const Text* text = key.text()) return std::hash<std::string>{}(text->bytes);
  if (const std::optional<double> number = as_real(key)) return std::hash<double>{}(*number);
  if (key.is_none() || key.is_undefined()) return key.storage().index();
  if (key.callable() != nullptr) return std::hash<const void*>{}(key.callable());
  const Sequence* sequence = key.sequence();
  if (sequence == nullptr || !sequence->is_tuple()) {
    throw TemplateError(fmt::format("unhashable type: '{}'", type_name(key)));
  }
  if (levels == 0) throw TemplateError("a key has too many tuples within tuples");
  std::size_t combined = sequence->elements.size();
  for (const Value& element : sequence->elements) {
    combined = combined * 1000003 ^ hash(element, levels - 1);
  }
  return combined;
}

bool KeyEqual::operator()(const Value& a, const Value& b) const {
  const Sequence* left = a.sequence();
  const Sequence* right = b.sequence();
  if (left != nullptr && right != nullptr) {
    return left->elements.size() == right->elements.size() &&
           std::equal(left->elements.begin(), left->elements.end(), right->elements.begin(), *this);
  }
  return left == nullptr && right == nullptr && scalars_equal(a, b);
}

const Value* Dict::find(const Value& key) const {
  if (index_.empty()) {
    // A key that cannot be one is refused by an empty dict too, which would not hash it.
    KeyHash{}(key);
    return nullptr;
  }
  const auto found = index_.find(key);
  return found == index_.end() ? nullptr : &entries_[found->second].second;
}

const Value* Dict::find(std::string_view key) const {
  const Text text(std::string(key), false);
  return find(Value(&text));
}

void Dict::set(const Value& key, const Value& value) {
  const auto [place, added] = index_.emplace(key, entries_.size());
  if (added) {
    entries_.emplace_back(key, value);
  } else {
    entries_[place->second].second = value;
  }
}

std::string type_name(const Value& value) {
  return std::visit(
      Overloaded{
          [](Undefined) -> std::string { return "Undefined"; },
          [](None) -> std::string { return "NoneType"; },
          [](bool) -> std::string { return "bool"; },
          [](std::int64_t) -> std::string { return "int"; },
          [](double) -> std::string { return "float"; },
          [](const Text* text) -> std::string { return text->markup ? "Markup" : "str"; },
          [](const Sequence* sequence) { return std::string(kind_name(sequence->kind)); },
          [](const Dict*) -> std::string { return "dict"; },
          [](Namespace*) -> std::string { return "Namespace"; },
          [](const Callable*) -> std::string { return "function"; },
          [](Loop*) -> std::string { return "LoopContext"; },
      },
      value.storage());
}

bool truthy(const Value& value) {
  return std::visit(Overloaded{
                        [](Undefined) { return false; },
                        [](None) { return false; },
                        [](bool flag) { return flag; },
                        [](std::int64_t number) { return number != 0; },
                        [](double number) { return number != 0; },
                        [](const Text* text) { return !text->bytes.empty(); },
                        [](const Sequence* sequence) {
                          return sequence->kind == Sequence::Kind::generator ||
                                 !sequence->elements.empty();
                        },
                        [](const Dict* dict) { return !dict->entries().empty(); },
                        [](Namespace*) { return true; },
                        [](const Callable*) { return true; },
                        [](Loop*) { return true; },
                    },
                    value.storage());
}

}  // namespace plimsoll::jinja
