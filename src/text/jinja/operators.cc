#include "text/jinja/operators.h"

#include <fmt/format.h>
#include <string.h>

#include <algorithm>
#include <cmath>

#include "text/jinja/characters.h"
#include "text/jinja/text_search.h"

namespace plimsoll::jinja {

namespace {

[[noreturn]] void refuse_order(const Value& a, const Value& b) {
  throw TemplateError(fmt::format("'<' not supported between instances of '{}' and '{}'",
                                  type_name(a), type_name(b)));
}

bool same_order_of_kind(const Sequence& a, const Sequence& b) {
  return (a.is_tuple() && b.is_tuple()) || a.kind == b.kind;
}

bool sequences_equal(Runtime& runtime, const Sequence& a, const Sequence& b) {
  if (&a == &b) return true;
  const bool comparable = same_order_of_kind(a, b) && a.indexed();
  if (!comparable || a.elements.size() != b.elements.size()) return false;
  const Runtime::Nesting nesting(runtime);
  return std::equal(a.elements.begin(), a.elements.end(), b.elements.begin(),
                    [&](const Value& x, const Value& y) { return equal(runtime, x, y); });
}

bool dicts_equal(Runtime& runtime, const Dict& a, const Dict& b) {
  if (&a == &b) return true;
  if (a.entries().size() != b.entries().size()) return false;
  const Runtime::Nesting nesting(runtime);
  return std::all_of(a.entries().begin(), a.entries().end(), [&](const auto& entry) {
    const Value* other = b.find(entry.first);
    return other != nullptr && equal(runtime, entry.second, *other);
  });
}

}  // namespace

std::optional<std::int64_t> as_integer(const Value& value) {
  if (const auto* number = value.integer()) return *number;
  if (const auto* flag = value.get_if<bool>()) return *flag ? 1 : 0;
  return std::nullopt;
}

std::optional<double> as_real(const Value& value) {
  if (const auto* real = value.get_if<double>()) return *real;
  if (const std::optional<std::int64_t> number = as_integer(value)) {
    return static_cast<double>(*number);
  }
  return std::nullopt;
}

void require_defined(const Value& value) {
  const auto* undefined = value.get_if<Undefined>();
  if (undefined == nullptr) return;
  throw TemplateError(undefined->why == nullptr ? "an undefined value is used"
                                                : undefined->why->bytes);
}

bool scalars_equal(const Value& a, const Value& b) {
  const std::optional<std::int64_t> whole_a = as_integer(a);
  const std::optional<std::int64_t> whole_b = as_integer(b);
  if (whole_a && whole_b) return *whole_a == *whole_b;
  const std::optional<double> real_a = as_real(a);
  const std::optional<double> real_b = as_real(b);
  if (real_a && real_b) return *real_a == *real_b;
  if (a.text() != nullptr && b.text() != nullptr) return a.text()->bytes == b.text()->bytes;
  if (a.storage().index() != b.storage().index()) return false;
  if (a.is_none() || a.is_undefined()) return true;
  return (a.sequence() != nullptr && a.sequence() == b.sequence()) ||
         (a.dict() != nullptr && a.dict() == b.dict()) ||
         (a.name_space() != nullptr && a.name_space() == b.name_space()) ||
         (a.callable() != nullptr && a.callable() == b.callable()) ||
         (a.loop() != nullptr && a.loop() == b.loop());
}

bool equal(Runtime& runtime, const Value& a, const Value& b) {
  runtime.step();
  if (a.sequence() != nullptr && b.sequence() != nullptr) {
    return sequences_equal(runtime, *a.sequence(), *b.sequence());
  }
  if (a.dict() != nullptr && b.dict() != nullptr) {
    return dicts_equal(runtime, *a.dict(), *b.dict());
  }
  if (a.text() != nullptr) runtime.read(a.text()->bytes.size());
  return scalars_equal(a, b);
}

bool less(Runtime& runtime, const Value& a, const Value& b) {
  runtime.step();
  require_defined(a);
  require_defined(b);
  const std::optional<std::int64_t> whole_a = as_integer(a);
  const std::optional<std::int64_t> whole_b = as_integer(b);
  if (whole_a && whole_b) return *whole_a < *whole_b;
  const std::optional<double> real_a = as_real(a);
  const std::optional<double> real_b = as_real(b);
  if (real_a && real_b) return *real_a < *real_b;
  if (a.text() != nullptr && b.text() != nullptr) {
    runtime.read(a.text()->bytes.size());
    return a.text()->bytes < b.text()->bytes;  // UTF-8 sorts as its code points do
  }
  const Sequence* left = a.sequence();
  const Sequence* right = b.sequence();
  const bool ordered = left != nullptr && right != nullptr && same_order_of_kind(*left, *right) &&
                       (left->is_tuple() || left->kind == Sequence::Kind::list);
  if (!ordered) refuse_order(a, b);
  const Runtime::Nesting nesting(runtime);
  const std::size_t common = std::min(left->elements.size(), right->elements.size());
  for (std::size_t i = 0; i < common; ++i) {
    if (!equal(runtime, left->elements[i], right->elements[i])) {
      return less(runtime, left->elements[i], right->elements[i]);
    }
  }
  return left->elements.size() < right->elements.size();
}

bool compare(Runtime& runtime, Comparison comparison, const Value& a, const Value& b) {
  switch (comparison) {
    case Comparison::equal:
      return equal(runtime, a, b);
    case Comparison::not_equal:
      return !equal(runtime, a, b);
    case Comparison::less:
      return less(runtime, a, b);
    case Comparison::less_equal:
      return less(runtime, a, b) || equal(runtime, a, b);
    case Comparison::greater:
      return less(runtime, b, a);
    case Comparison::greater_equal:
      return less(runtime, b, a) || equal(runtime, a, b);
    case Comparison::in:
      return contains(runtime, b, a);
    case Comparison::not_in:
      return !contains(runtime, b, a);
  }
  return false;
}

bool contains(Runtime& runtime, const Value& container, const Value& item) {
  if (const Text* text = container.text()) {
    if (item.text() == nullptr) {
      throw TemplateError(
          fmt::format("'in <string>' requires string as left operand, not {}", type_name(item)));
    }
    runtime.read(text->bytes.size() + item.text()->bytes.size());
    return find_text(text->bytes, item.text()->bytes) != std::string_view::npos;
  }
  if (const Dict* dict = container.dict()) return dict->find(item) != nullptr;
  if (!is_iterable(container)) {
    throw TemplateError(fmt::format("argument of type '{}' is not iterable", type_name(container)));
  }
  const std::vector<Value> elements = iterate(runtime, container);
  return std::any_of(elements.begin(), elements.end(),
                     [&](const Value& element) { return equal(runtime, element, item); });
}

bool is_iterable(const Value& value) {
  return value.text() != nullptr || value.sequence() != nullptr || value.dict() != nullptr ||
         value.is_undefined();
}

std::vector<Value> iterate(Runtime& runtime, const Value& value) {
  std::vector<Value> elements;
  if (const Sequence* sequence = value.sequence()) {
    runtime.step(1 + sequence->elements.size() / 8);
    runtime.take(sequence->elements.size() * sizeof(Value));
    if (!sequence->spent) elements = sequence->elements;
    sequence->spent = sequence->kind == Sequence::Kind::generator;
  } else if (const Dict* dict = value.dict()) {
    runtime.step(1 + dict->entries().size() / 8);
    runtime.take(dict->entries().size() * sizeof(Value));
    for (const auto& [key, unused] : dict->entries()) elements.push_back(key);
  } else if (const Text* text = value.text()) {
    runtime.take(text->length * sizeof(Value));
    for (std::size_t at = 0; at < text->bytes.size();) {
      const std::string_view character = code_point_at(text->bytes, at);
      elements.push_back(runtime.text(std::string(character)));
      at += character.size();
    }
  } else if (!value.is_undefined()) {
    throw TemplateError(fmt::format("'{}' object is not iterable", type_name(value)));
  }
  return elements;
}

std::optional<std::size_t> length_of(const Value& value) {
  if (value.is_undefined()) return 0;
  if (const Text* text = value.text()) return text->length;
  if (const Dict* dict = value.dict()) return dict->entries().size();
  if (const Loop* loop = value.loop()) return loop->items.size();
  const Sequence* sequence = value.sequence();
  if (sequence == nullptr || sequence->kind == Sequence::Kind::generator) return std::nullopt;
  return sequence->elements.size();
}

}  // namespace plimsoll::jinja
