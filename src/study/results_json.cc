#include <cmath>
#include <type_traits>

#include "core/error.h"
#include "eval/statistics.h"
#include "storage/json.h"
#include "study/results_fields.h"

namespace plimsoll::study {

namespace {

struct Writer {
  RawJson object = RawJson::object();

  template <class T>
  void operator()(const char* name, const T& value) {
    object[name] = json(value);
  }

  static RawJson json(double value) {
    PLIMSOLL_CHECK(std::isfinite(value));
    return value;
  }
  static RawJson json(bool value) { return value; }
  static RawJson json(std::int64_t value) { return value; }
  static RawJson json(const std::string& value) { return value; }
  static RawJson json(const RawJson& value) { return value; }
  template <class T>
  static RawJson json(const std::optional<T>& value) {
    return value ? json(*value) : RawJson();
  }
  template <class T>
  static RawJson json(const std::vector<T>& values) {
    RawJson array = RawJson::array();
    for (const T& value : values) array.push_back(json(value));
    return array;
  }
  template <class T>
  static RawJson json(const std::map<std::string, T>& values) {
    RawJson map = RawJson::object();
    for (const auto& [key, value] : values) map[key] = json(value);
    return map;
  }
  template <class T>
  requires std::is_class_v<T>
  static RawJson json(const T& value) {
    Writer writer;
    if constexpr (HasInterval<T>) {
      plain_fields(writer, value);
      const auto& interval = value.interval;
      writer.object["low"] = interval ? json(interval->low) : RawJson();
      writer.object["high"] = interval ? json(interval->high) : RawJson();
    } else {
      fields(writer, value);
    }
    return writer.object;
  }
};

/// Reads an object; `where` names the file and the way to it.
struct Reader {
  const RawJson& object;
  std::string where;

  Reader(const RawJson& json, std::string path) : object(json), where(std::move(path)) {
    if (!json.is_object()) wrong(where, json, "an object");
  }

  template <class T>
  void operator()(const char* name, T& value) {
    const auto found = object.find(name);
    if (found != object.end()) return read(*found, where + ": " + name, value);
    // Of this version, and written before there was such a field.
    if constexpr (requires { value.reset(); }) return value.reset();
    throw InputError(where, name, "nothing", "a value");
  }

  [[noreturn]] static void wrong(const std::string& path, const RawJson& json,
                                 std::string_view expected) {
    throw InputError(fmt::format("{}: found {}, expected {}", path, json.type_name(), expected));
  }

  /// The samples are what is compared; the median is what is shown.
  static void check(const Sampled& sampled, const std::string& path) {
    constexpr double kRounding = 1e-9;
    if (sampled.samples.empty()) throw InputError(path, "samples", "none", "one at least");
    for (const double sample : sampled.samples) {
      if (!(sample > 0)) {
        throw InputError(path, "samples", fmt::format("{}", sample), "times or speeds, above 0");
      }
    }
    const double computed = median(sampled.samples);
    if (std::abs(sampled.median - computed) > kRounding * computed) {
      throw InputError(path, "median", fmt::format("{}", sampled.median),
                       fmt::format("{}, its samples'", computed));
    }
  }

  static void read(const RawJson& json, const std::string& path, double& value) {
    if (!json.is_number()) wrong(path, json, "a number");
    value = json.get<double>();
  }
  static void read(const RawJson& json, const std::string& path, bool& value) {
    if (!json.is_boolean()) wrong(path, json, "true or false");
    value = json.get<bool>();
  }
  static void read(const RawJson& json, const std::string& path, std::int64_t& value) {
    if (!json.is_number_integer()) wrong(path, json, "a whole number");
    value = json.get<std::int64_t>();
  }
  static void read(const RawJson& json, const std::string& path, std::string& value) {
    if (!json.is_string()) wrong(path, json, "text");
    value = json.get<std::string>();
  }
  static void read(const RawJson& json, const std::string& /*path*/, RawJson& value) {
    value = json;
  }
  template <class T>
  static void read(const RawJson& json, const std::string& path, std::optional<T>& value) {
    if (json.is_null()) {
      value.reset();
    } else {
      read(json, path, value.emplace());
    }
  }
  template <class T>
  static void read(const RawJson& json, const std::string& path, std::vector<T>& values) {
    if (!json.is_array()) wrong(path, json, "an array");
    values.clear();
    values.reserve(json.size());
    for (const RawJson& element : json) {
      T value{};
      read(element, fmt::format("{}[{}]", path, values.size()), value);
      values.push_back(std::move(value));
    }
  }
  template <class T>
  static void read(const RawJson& json, const std::string& path, std::map<std::string, T>& values) {
    if (!json.is_object()) wrong(path, json, "an object");
    values.clear();
    for (const auto& [key, element] : json.items()) {
      T value{};
      read(element, fmt::format("{}: {}", path, key), value);
      values[key] = std::move(value);
    }
  }
  template <class T>
  requires std::is_class_v<T>
  static void read(const RawJson& json, const std::string& path, T& value) {
    Reader reader(json, path);
    if constexpr (HasInterval<T>) {
      plain_fields(reader, value);
      std::optional<double> low, high;
      reader("low", low);
      reader("high", high);
      value.interval.reset();
      if (low && high) value.interval = Interval{*low, *high};
      if constexpr (Is<T, Sampled>) check(value, path);
    } else {
      fields(reader, value);
    }
  }
};

}  // namespace

const VariantResult* Results::find(const std::string& name) const {
  for (const VariantResult& variant : variants) {
    if (variant.name == name) return &variant;
  }
  return nullptr;
}

RawJson to_json_value(const Results& results) {
  RawJson document{{"schema", kResultsSchema}, {"schema_version", kResultsVersion}};
  document.update(Writer::json(results));
  return document;
}

std::string to_json(const Results& results) {
  return to_json_value(results).dump(1, ' ', false, RawJson::error_handler_t::replace) + "\n";
}

Results results_from_json(const std::string& text, const std::string& where) {
  parse_json(text, where);  // refuses what nlohmann would let pass
  const RawJson document = RawJson::parse(text);
  const Reader reader(document, where);
  std::string schema;
  std::int64_t version = 0;
  if (const auto found = document.find("schema"); found != document.end() && found->is_string()) {
    schema = found->get<std::string>();
  }
  if (schema != kResultsSchema) {
    throw InputError(where, "schema", schema.empty() ? "nothing" : quote(schema),
                     fmt::format("\"{}\"", kResultsSchema));
  }
  Reader(document, where)("schema_version", version);
  if (version != kResultsVersion) {
    throw InputError(where, "schema_version", std::to_string(version),
                     fmt::format("{}, this program's", kResultsVersion));
  }
  Results results;
  Reader::read(document, where, results);
  return results;
}

std::map<std::string, std::string> capsule_of(const Results& results, bool sitting) {
  const RunFacts& run = results.run;
  std::map<std::string, std::string> capsule;
  const auto put = [&](const char* name, const auto& value) {
    capsule[name] = Writer::json(value).dump();
  };
  put("mode", run.mode);
  put("weights_sha256", run.model.weights_sha256);
  if (!run.model.weights_sha256) put("model", run.model.path);
  put("tokenizer_sha256", run.model.tokenizer_sha256);
  put("text_sha256", run.text ? run.text->sha256 : std::string());
  const RawJson flags = Writer::json(run.flags);
  for (const auto& [name, value] : flags.items()) capsule[name] = value.dump();
  std::vector<std::string> names;
  names.reserve(results.variants.size());
  for (const VariantResult& variant : results.variants) names.push_back(variant.name);
  put("variants", names);
  if (sitting) {
    put("build_commit", run.build_commit);
    put("cpu", run.machine.cpu);
    put("isa", run.machine.isa);
    put("threads", run.machine.threads);
  }
  return capsule;
}

}  // namespace plimsoll::study
