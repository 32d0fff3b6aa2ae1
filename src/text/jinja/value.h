// The values of a template: Python's, as far as templates can tell. A Value is a small copyable
// handle; texts, lists and dicts belong to the Runtime of one rendering (or to the Program, for
// constants) and never change once made, except for namespace(). Owning them in one place keeps
// cycles through a namespace and very deep nesting harmless.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace plimsoll::jinja {

/// What Jinja or Python would raise. The interpreter adds the template's name and line.
class TemplateError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct Object;
struct Text;
struct Sequence;
struct Dict;
struct Namespace;
struct Callable;
struct Loop;

/// A name or attribute that is not there: prints as nothing, fails when used. `why` is the error, a
/// Text so that the handle stays small; null for a plain missing value.
struct Undefined {
  const Text* why = nullptr;
};
struct None {};

class Value {
 public:
  using Storage = std::variant<Undefined, None, bool, std::int64_t, double, const Text*,
                               const Sequence*, const Dict*, Namespace*, const Callable*, Loop*>;

  Value() = default;
  Value(Storage storage) : storage_(storage) {}  // NOLINT(google-explicit-constructor)

  template <class T>
  bool is() const {
    return std::holds_alternative<T>(storage_);
  }
  template <class T>
  const T* get_if() const {
    return std::get_if<T>(&storage_);
  }
  const Storage& storage() const { return storage_; }

  bool is_undefined() const { return is<Undefined>(); }
  bool is_none() const { return is<None>(); }
  const Text* text() const { return pointer<const Text*>(); }
  const Sequence* sequence() const { return pointer<const Sequence*>(); }
  const Dict* dict() const { return pointer<const Dict*>(); }
  Namespace* name_space() const { return pointer<Namespace*>(); }
  const Callable* callable() const { return pointer<const Callable*>(); }
  Loop* loop() const { return pointer<Loop*>(); }
  /// Integers and booleans, which Python counts among them.
  const std::int64_t* integer() const { return get_if<std::int64_t>(); }

 private:
  template <class P>
  P pointer() const {
    const P* found = std::get_if<P>(&storage_);
    return found == nullptr ? nullptr : *found;
  }

  Storage storage_;
};

/// Whatever a Runtime owns.
struct Object {
  Object() = default;
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  virtual ~Object() = default;
};

/// Valid UTF-8. Lengths and indexes count code points.
struct Text : Object {
  Text(std::string text, bool is_markup);
  const std::string bytes;
  const std::size_t length;  // code points
  /// Made by `safe` or `escape`: adding a plain text to it escapes that text.
  const bool markup;
  bool ascii() const { return length == bytes.size(); }
};

/// Everything that is a row of values. Python's kinds differ in how they print and what they allow.
struct Sequence : Object {
  enum class Kind { list, tuple, range, keys, values, items, group, generator };
  Sequence(Kind kind_of, std::vector<Value> values) : kind(kind_of), elements(std::move(values)) {}
  const Kind kind;
  const std::vector<Value> elements;
  /// A generator yields its elements once.
  mutable bool spent = false;

  bool is_tuple() const { return kind == Kind::tuple || kind == Kind::group; }
  /// Has a length and takes indexes.
  bool indexed() const { return kind == Kind::list || kind == Kind::range || is_tuple(); }
};

/// Python's hash: 1, 1.0 and true are one key. TemplateError for lists and dicts.
struct KeyHash {
  std::size_t operator()(const Value& key) const;

 private:
  static std::size_t hash(const Value& key, int levels);
};
struct KeyEqual {
  bool operator()(const Value& a, const Value& b) const;
};

/// Keeps the order of insertion.
struct Dict : Object {
  using Entries = std::vector<std::pair<Value, Value>>;
  const Entries& entries() const { return entries_; }
  /// nullptr when the key is not there.
  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;
  void set(const Value& key, const Value& value);

 private:
  Entries entries_;
  std::unordered_map<Value, std::size_t, KeyHash, KeyEqual> index_;
};

/// namespace(): the one value that `set` can change.
struct Namespace : Object {
  std::unordered_map<std::string, Value> attributes;
};

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

class Runtime;

struct Callable : Object {
  using Function = std::function<Value(Runtime&, const Arguments&)>;
  Callable(std::string name_of, Function body)
      : name(std::move(name_of)), function(std::move(body)) {}
  const std::string name;
  const Function function;
};

/// The `loop` variable of a for.
struct Loop : Object {
  std::vector<Value> items;
  std::size_t index0 = 0;
  /// The arguments of the last loop.changed(), none before the first.
  const Sequence* last_changed = nullptr;
};

/// Lambdas as one visitor of Value::storage().
template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

/// Python's name of the type, as its errors say it: "int", "str", "dict".
std::string type_name(const Value& value);

/// Python's truth: empty texts, lists and dicts, zero, none and undefined are false.
bool truthy(const Value& value);

}  // namespace plimsoll::jinja
