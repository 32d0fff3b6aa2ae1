#include <cmath>
#include <concepts>
#include <type_traits>

#include "core/error.h"
#include "storage/json.h"
#include "study/results.h"

namespace plimsoll::study {

namespace {

// Each struct lists its fields once, below, and a Writer or a Reader goes through them.
template <class T, class Struct>
concept Is = std::same_as<std::remove_const_t<T>, Struct>;

template <class F, Is<ModelFacts> T>
void fields(F& f, T& v) {
  f("path", v.path), f("name", v.name), f("architecture", v.architecture);
  f("parameters", v.parameters), f("shape_only", v.shape_only), f("stored_dtype", v.stored_dtype);
  f("weights_sha256", v.weights_sha256), f("tokenizer_sha256", v.tokenizer_sha256);
  f("layers", v.layers), f("hidden_size", v.hidden_size), f("vocab_size", v.vocab_size);
  f("context_length", v.context_length), f("sliding_window", v.sliding_window);
}
template <class F, Is<TextFacts> T>
void fields(F& f, T& v) {
  f("source", v.source), f("sha256", v.sha256), f("bytes", v.bytes), f("tokens", v.tokens);
}
template <class F, Is<MachineFacts> T>
void fields(F& f, T& v) {
  f("cpu", v.cpu), f("isa", v.isa), f("threads", v.threads), f("cores", v.cores);
  f("memory_bytes", v.memory_bytes), f("os", v.os), f("device", v.device), f("gpu", v.gpu);
}
template <class F, Is<CeilingFacts> T>
void fields(F& f, T& v) {
  f("read_gbps", v.read_gbps), f("fp32_gops", v.fp32_gops), f("bf16_gops", v.bf16_gops);
  f("int8_gops", v.int8_gops), f("detail", v.detail);
}
template <class F, Is<Flags> T>
void fields(F& f, T& v) {
  f("compute", v.compute), f("numerics", v.numerics), f("kv", v.kv);
  f("prefill_chunk", v.prefill_chunk), f("repeats", v.repeats);
  f("prefill_tokens", v.prefill_tokens), f("new_tokens", v.new_tokens);
  f("decode_prompt", v.decode_prompt), f("sample_prompts", v.sample_prompts);
  f("max_ppl_ratio", v.max_ppl_ratio), f("memory_limit_bytes", v.memory_limit_bytes);
  f("price_per_hour", v.price_per_hour), f("adapters", v.adapters);
}
template <class F, Is<RunFacts> T>
void fields(F& f, T& v) {
  f("plimsoll_version", v.plimsoll_version), f("build_commit", v.build_commit);
  f("command", v.command), f("started", v.started), f("finished", v.finished);
  f("seconds", v.seconds), f("complete", v.complete), f("mode", v.mode), f("model", v.model);
  f("text", v.text), f("machine", v.machine), f("ceilings", v.ceilings), f("flags", v.flags);
  f("versions", v.versions);
}
template <class F, Is<MemoryFacts> T>
void fields(F& f, T& v) {
  f("weights_bytes", v.weights_bytes), f("kv_bytes", v.kv_bytes);
  f("workspace_bytes", v.workspace_bytes), f("peak_bytes", v.peak_bytes);
  f("needed_bytes", v.needed_bytes);
}
template <class F, Is<Latency> T>
void fields(F& f, T& v) {
  f("repeats", v.repeats), f("turns", v.turns), f("end_to_end_seconds", v.end_to_end_seconds);
  f("ttft_seconds", v.ttft_seconds), f("tpot_seconds", v.tpot_seconds);
  f("prefill_tokens_per_second", v.prefill_tokens_per_second);
  f("decode_tokens_per_second", v.decode_tokens_per_second);
}
template <class F, Is<CeilingShares> T>
void fields(F& f, T& v) {
  f("prefill", v.prefill), f("decode", v.decode);
}
template <class F, Is<Versus> T>
void fields(F& f, T& v) {
  f("ratio", v.ratio), f("low", v.low), f("high", v.high), f("verdict", v.verdict);
}
template <class F, Is<VersusBaseline> T>
void fields(F& f, T& v) {
  f("end_to_end", v.end_to_end), f("prefill", v.prefill), f("decode", v.decode);
}
template <class F, Is<QualityFacts> T>
void fields(F& f, T& v) {
  f("protocol", v.protocol), f("window", v.window), f("stride", v.stride);
  f("tokens_scored", v.tokens_scored), f("nll", v.nll), f("ppl", v.ppl);
  f("ppl_stderr", v.ppl_stderr), f("ppl_ratio", v.ppl_ratio), f("kl_mean", v.kl_mean);
  f("kl_percentiles", v.kl_percentiles), f("same_top", v.same_top), f("compute", v.compute);
}
template <class F, Is<Sample> T>
void fields(F& f, T& v) {
  f("prompt", v.prompt), f("text", v.text), f("tokens", v.tokens), f("distinct_1", v.distinct_1);
  f("distinct_2", v.distinct_2), f("repetition", v.repetition);
}
template <class F, Is<Cost> T>
void fields(F& f, T& v) {
  f("per_million_tokens", v.per_million_tokens), f("reason", v.reason);
}
template <class F, Is<EnergyFacts> T>
void fields(F& f, T& v) {
  f("joules_per_token", v.joules_per_token), f("source", v.source), f("reason", v.reason);
}
template <class F, Is<VariantResult> T>
void fields(F& f, T& v) {
  f("name", v.name), f("weights", v.weights), f("attention", v.attention), f("kv", v.kv);
  f("device", v.device), f("status", v.status), f("reason", v.reason), f("memory", v.memory);
  f("latency", v.latency), f("share_of_ceiling", v.share_of_ceiling);
  f("versus_baseline", v.versus_baseline), f("quality", v.quality);
  f("quality_reason", v.quality_reason), f("samples", v.samples), f("profile", v.profile);
  f("cost", v.cost), f("energy", v.energy), f("slow_paths", v.slow_paths);
}
template <class F, Is<Drift> T>
void fields(F& f, T& v) {
  f("decode", v.decode), f("prefill", v.prefill), f("noticed", v.noticed);
}
template <class F, Is<Noise> T>
void fields(F& f, T& v) {
  f("variant", v.variant), f("decode", v.decode), f("prefill", v.prefill);
  f("floor_decode", v.floor_decode), f("floor_prefill", v.floor_prefill), f("drift", v.drift);
  f("noisy", v.noisy), f("decode_tokens_per_second", v.decode_tokens_per_second);
  f("prefill_tokens_per_second", v.prefill_tokens_per_second);
}
template <class F, Is<Recommendation> T>
void fields(F& f, T& v) {
  f("workload", v.workload), f("title", v.title), f("variant", v.variant), f("metric", v.metric);
  f("figure", v.figure), f("confidence", v.confidence), f("reason", v.reason);
  f("runner_up", v.runner_up), f("would_change", v.would_change);
}
template <class F, Is<Warning> T>
void fields(F& f, T& v) {
  f("kind", v.kind), f("variant", v.variant), f("text", v.text);
}
template <class F, Is<Imported> T>
void fields(F& f, T& v) {
  f("source", v.source), f("engine", v.engine), f("label", v.label), f("test", v.test);
  f("tokens_per_second", v.tokens_per_second);
}
template <class F, Is<Results> T>
void fields(F& f, T& v) {
  f("run", v.run), f("reference", v.reference), f("baseline", v.baseline);
  f("variants", v.variants), f("noise", v.noise), f("sweeps", v.sweeps);
  f("recommendations", v.recommendations), f("recommended", v.recommended);
  f("warnings", v.warnings), f("imported", v.imported), f("numerics_cost", v.numerics_cost);
  f("adaptation", v.adaptation);
}

// Sampled and Estimate have their interval as two fields: null where it is unknown.
template <class F, Is<Sampled> T>
void plain_fields(F& f, T& v) {
  f("median", v.median), f("mean", v.mean), f("stddev", v.stddev), f("samples", v.samples);
}
template <class F, Is<Estimate> T>
void plain_fields(F& f, T& v) {
  f("value", v.value);
}
template <class T>
concept HasInterval = Is<T, Sampled> || Is<T, Estimate>;

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
    if (found == object.end()) throw InputError(where, name, "nothing", "a value");
    read(*found, where + ": " + name, value);
  }

  [[noreturn]] static void wrong(const std::string& path, const RawJson& json,
                                 std::string_view expected) {
    throw InputError(fmt::format("{}: found {}, expected {}", path, json.type_name(), expected));
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
