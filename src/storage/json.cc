#include "storage/json.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <utility>
#include <vector>

#include "storage/atomic_file.h"

namespace plimsoll {

namespace {

/// Real files stay below 20 (a nested pre-tokenizer in tokenizer.json).
constexpr std::size_t kDeepest = 100;

/// "line 3, column 7" of a byte counted from 1.
std::string position(std::string_view text, std::size_t byte) {
  const std::string_view before = text.substr(0, std::min(byte == 0 ? 0 : byte - 1, text.size()));
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const std::size_t line_start = before.rfind('\n') + 1;  // npos + 1 == 0
  return fmt::format("line {}, column {}", line, before.size() - line_start + 1);
}

/// Builds the value and watches what nlohmann's own builder lets pass: nesting and repeated keys.
/// (Its callback interface would do, but looks through all earlier siblings after every object.)
class ValueBuilder final : public nlohmann::json_sax<Json> {
 public:
  ValueBuilder(std::string_view text, std::string_view where) : text_(text), where_(where) {}

  Json take() { return std::move(root_); }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(std::int64_t value) override { return add(value); }
  bool number_unsigned(std::uint64_t value) override { return add(value); }
  bool number_float(double value, const std::string&) override { return add(value); }
  bool string(std::string& value) override { return add(std::move(value)); }
  bool binary(Json::binary_t&) override { return false; }  // not in JSON text

  bool start_object(std::size_t) override { return enter(Json::object()); }
  bool end_object() override { return leave(); }
  bool start_array(std::size_t) override { return enter(Json::array()); }
  bool end_array() override { return leave(); }

  bool key(std::string& key) override {
    const auto [element, is_new] = open_.back()->get_ref<Json::object_t&>().emplace(key, nullptr);
    if (!is_new) throw InputError(where_, quote(key), "it twice in one object", "it once");
    element_ = &element->second;
    return true;
  }

  bool parse_error(std::size_t byte, const std::string&,
                   const nlohmann::detail::exception& error) override {
    constexpr int kNumberOverflow = 406;
    throw InputError(where_, "JSON",
                     fmt::format("{} at {}",
                                 error.id == kNumberOverflow ? "a number beyond a double's range"
                                                             : "a syntax error",
                                 position(text_, byte)),
                     "valid JSON in UTF-8");
  }

 private:
  /// Puts a value where the parser stands: into the open array, behind the key just read, or at the
  /// top.
  bool add(Json value) {
    if (open_.empty()) {
      root_ = std::move(value);
      element_ = &root_;
    } else if (open_.back()->is_array()) {
      element_ = &open_.back()->get_ref<Json::array_t&>().emplace_back(std::move(value));
    } else {
      *element_ = std::move(value);
    }
    return true;
  }

  bool enter(Json container) {
    if (open_.size() == kDeepest) {
      throw InputError(where_, "JSON", fmt::format("more than {} nested levels", kDeepest),
                       "fewer");
    }
    add(std::move(container));
    open_.push_back(element_);
    return true;
  }

  bool leave() {
    open_.pop_back();
    return true;
  }

  std::string_view text_;
  std::string_view where_;
  Json root_;
  std::vector<Json*>
      open_;  // containers not yet closed; a container grows only while it is the last
  Json* element_ = nullptr;  // the value added last, or the place behind the key just read
};

/// As it is when it looks like a field of a config, quoted when it is a key that could hold
/// anything.
std::string field_in_message(std::string_view field) {
  const bool plain =
      !field.empty() && field.size() <= 64 &&
      std::all_of(field.begin(), field.end(), [](unsigned char c) {
        return c < 0x80 && (std::isalnum(c) != 0 || c == '_' || c == '.' || c == '-');
      });
  return plain ? std::string(field) : quote(field);
}

[[noreturn]] void throw_wrong_type(const Json& value, std::string_view field,
                                   std::string_view where, std::string_view expected) {
  throw InputError(where, field_in_message(field), describe(value), expected);
}

std::string expected_int(std::int64_t min, std::int64_t max) {
  using Limits = std::numeric_limits<std::int64_t>;
  if (min == Limits::min() && max == Limits::max()) return "an integer";
  if (min == max) return fmt::format("{}", min);
  if (max == Limits::max()) return fmt::format("an integer of at least {}", min);
  return fmt::format("an integer from {} to {}", min, max);
}

std::string expected_number(double min, double max) {
  using Limits = std::numeric_limits<double>;
  if (min == Limits::lowest() && max == Limits::max()) return "a number";
  if (max == Limits::max()) return fmt::format("a number of at least {}", min);
  return fmt::format("a number from {} to {}", min, max);
}

}  // namespace

Json parse_json(std::string_view text, std::string_view where) {
  ValueBuilder builder(text, where);
  const bool complete = Json::sax_parse(text, &builder);
  PLIMSOLL_CHECK(complete, "the parser stopped without an error");
  return builder.take();
}

Json read_json_file(const std::filesystem::path& path) {
  return parse_json(read_text_file(path), path.string());
}

std::string describe(const Json& value) {
  switch (value.type()) {
    case Json::value_t::string:
      return quote(value.get_ref<const std::string&>());
    case Json::value_t::array:
      return fmt::format("an array of {}", value.size());
    case Json::value_t::object:
      return "an object";
    default:
      return value.dump();  // null, true, false or a number
  }
}

const Json* find_field(const Json& object, std::string_view field) {
  const auto found = object.find(field);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

const Json& require_field(const Json& object, std::string_view field, std::string_view where,
                          std::string_view expected) {
  const Json* value = find_field(object, field);
  if (value == nullptr) throw InputError(where, field_in_message(field), "nothing", expected);
  return *value;
}

std::int64_t int_value(const Json& value, std::string_view field, std::string_view where,
                       std::int64_t min, std::int64_t max) {
  // nlohmann keeps what is not negative as unsigned; beyond int64 the conversion would wrap.
  const bool fits = value.is_number_integer() &&
                    (!value.is_number_unsigned() ||
                     value.get<std::uint64_t>() <=
                         static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()));
  if (!fits || value.get<std::int64_t>() < min || value.get<std::int64_t>() > max) {
    throw_wrong_type(value, field, where, expected_int(min, max));
  }
  return value.get<std::int64_t>();
}

double number_value(const Json& value, std::string_view field, std::string_view where, double min,
                    double max) {
  if (!value.is_number() || !std::isfinite(value.get<double>()) || value.get<double>() < min ||
      value.get<double>() > max) {
    throw_wrong_type(value, field, where, expected_number(min, max));
  }
  return value.get<double>();
}

bool bool_value(const Json& value, std::string_view field, std::string_view where) {
  if (!value.is_boolean()) throw_wrong_type(value, field, where, "true or false");
  return value.get<bool>();
}

const std::string& string_value(const Json& value, std::string_view field, std::string_view where) {
  if (!value.is_string()) throw_wrong_type(value, field, where, "a string");
  return value.get_ref<const std::string&>();
}

const Json& array_value(const Json& value, std::string_view field, std::string_view where) {
  if (!value.is_array()) throw_wrong_type(value, field, where, "an array");
  return value;
}

const Json& object_value(const Json& value, std::string_view field, std::string_view where) {
  if (!value.is_object()) throw_wrong_type(value, field, where, "an object");
  return value;
}

std::int64_t require_int(const Json& object, std::string_view field, std::string_view where,
                         std::int64_t min, std::int64_t max) {
  return int_value(require_field(object, field, where, expected_int(min, max)), field, where, min,
                   max);
}

double require_number(const Json& object, std::string_view field, std::string_view where,
                      double min, double max) {
  return number_value(require_field(object, field, where, expected_number(min, max)), field, where,
                      min, max);
}

bool require_bool(const Json& object, std::string_view field, std::string_view where) {
  return bool_value(require_field(object, field, where, "true or false"), field, where);
}

const std::string& require_string(const Json& object, std::string_view field,
                                  std::string_view where) {
  return string_value(require_field(object, field, where, "a string"), field, where);
}

const Json& require_array(const Json& object, std::string_view field, std::string_view where) {
  return array_value(require_field(object, field, where, "an array"), field, where);
}

const Json& require_object(const Json& object, std::string_view field, std::string_view where) {
  return object_value(require_field(object, field, where, "an object"), field, where);
}

std::optional<std::int64_t> find_int(const Json& object, std::string_view field,
                                     std::string_view where, std::int64_t min, std::int64_t max) {
  const Json* value = find_field(object, field);
  if (value == nullptr) return std::nullopt;
  return int_value(*value, field, where, min, max);
}

std::optional<double> find_number(const Json& object, std::string_view field,
                                  std::string_view where, double min, double max) {
  const Json* value = find_field(object, field);
  if (value == nullptr) return std::nullopt;
  return number_value(*value, field, where, min, max);
}

std::optional<bool> find_bool(const Json& object, std::string_view field, std::string_view where) {
  const Json* value = find_field(object, field);
  if (value == nullptr) return std::nullopt;
  return bool_value(*value, field, where);
}

std::optional<std::string> find_string(const Json& object, std::string_view field,
                                       std::string_view where) {
  const Json* value = find_field(object, field);
  if (value == nullptr) return std::nullopt;
  return string_value(*value, field, where);
}

const Json* find_array(const Json& object, std::string_view field, std::string_view where) {
  const Json* value = find_field(object, field);
  return value == nullptr ? nullptr : &array_value(*value, field, where);
}

const Json* find_object(const Json& object, std::string_view field, std::string_view where) {
  const Json* value = find_field(object, field);
  return value == nullptr ? nullptr : &object_value(*value, field, where);
}

}  // namespace plimsoll
