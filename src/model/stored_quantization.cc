#include "model/stored_quantization.h"

#include <algorithm>

#include "core/quote.h"
#include "storage/json.h"

namespace plimsoll {

namespace {

using quant::WeightFormat;
using Method = StoredQuantization::Method;

constexpr int kDefaultGptqGroup = 128;

WeightFormat bitsandbytes_format(const nlohmann::json& config, const std::string& where,
                                 float& threshold) {
  if (find_bool(config, "load_in_8bit", where).value_or(false)) {
    threshold =
        static_cast<float>(find_number(config, "llm_int8_threshold", where, 0, 1e9).value_or(6.0));
    return threshold == 0 ? WeightFormat::int8_dynamic : WeightFormat::int8;
  }
  if (!find_bool(config, "load_in_4bit", where).value_or(false)) {
    throw InputError(where, "load_in_4bit", "neither it nor load_in_8bit", "one of them true");
  }
  const std::string type = find_string(config, "bnb_4bit_quant_type", where).value_or("fp4");
  const std::string storage =
      find_string(config, "bnb_4bit_quant_storage", where).value_or("uint8");
  if (storage != "uint8")
    throw InputError(where, "bnb_4bit_quant_storage", quote(storage), "\"uint8\"");
  const bool nested = find_bool(config, "bnb_4bit_use_double_quant", where).value_or(false);
  if (type == "nf4") return nested ? WeightFormat::nf4_dq : WeightFormat::nf4;
  if (type == "fp4") return nested ? WeightFormat::fp4_dq : WeightFormat::fp4;
  throw InputError(where, "bnb_4bit_quant_type", quote(type), "\"nf4\" or \"fp4\"");
}

WeightFormat gptq_format(const nlohmann::json& config, const std::string& where, int& group) {
  require_int(config, "bits", where, 4, 4);
  group = static_cast<int>(
      find_int(config, "group_size", where, -1, 1 << 20).value_or(kDefaultGptqGroup));
  if (group == 0) throw InputError(where, "group_size", "0", "-1 or more than 0");
  const std::string layout = find_string(config, "checkpoint_format", where).value_or("gptq");
  if (layout != "gptq")
    throw InputError(where, "checkpoint_format", quote(layout), "\"gptq\" (v1)");
  // What distinguishes our int4 from gptq is how the codes were found, not how they are stored:
  // where the name is not kept (read_own_words), the zero points tell.
  return find_bool(config, "sym", where).value_or(true) ? WeightFormat::gptq : WeightFormat::int4;
}

constexpr const char* kOwnWords = "plimsoll";

void read_own_words(const nlohmann::json& config, const std::string& outer,
                    StoredQuantization& stored) {
  const nlohmann::json* own = find_object(config, kOwnWords, outer);
  if (own == nullptr) return;
  const std::string where = outer + ": " + kOwnWords;
  if (const auto format = find_string(*own, "format", where)) {
    stored.format = quant::format_from_name(*format, where);
    if (stored.method != Method::gptq ||
        (stored.format != WeightFormat::int4 && stored.format != WeightFormat::gptq)) {
      throw InputError(where, "format", quote(*format), "int4 or gptq, in the method gptq");
    }
  }
  if (const auto scope = find_string(*own, "outlier_scope", where)) {
    if (*scope != "token" && *scope != "batch")
      throw InputError(where, "outlier_scope", quote(*scope), "token or batch");
    stored.outliers_by_batch = *scope == "batch";
  }
  if (const auto dtype = find_string(*own, "source_dtype", where)) {
    const WeightFormat dense = quant::format_from_name(*dtype, where);
    if (!quant::is_dense(dense))
      throw InputError(where, "source_dtype", quote(*dtype), "fp16, bf16 or fp32");
    stored.source_dtype = quant::dense_dtype(dense);
  }
  if (const nlohmann::json* calibration = find_object(*own, "calibration", where)) {
    const std::string inner = where + ": calibration";
    stored.calibration = CalibrationRecord{
        require_string(*calibration, "text", inner), require_string(*calibration, "sha256", inner),
        find_int(*calibration, "windows", inner).value_or(0),
        find_int(*calibration, "window_tokens", inner).value_or(0),
        static_cast<std::uint64_t>(find_int(*calibration, "seed", inner).value_or(0))};
  }
}

nlohmann::ordered_json own_words(const QuantizationSettings& settings) {
  nlohmann::ordered_json own;
  if (settings.format == WeightFormat::int4) own["format"] = "int4";
  if (settings.format == WeightFormat::int8 && settings.encode.outliers_by_batch)
    own["outlier_scope"] = "batch";
  const DType dtype = settings.encode.source_dtype;
  if (settings.format == WeightFormat::int8 && dtype != DType::f16)
    own["source_dtype"] = quant::format_name(quant::dense_format(dtype));
  if (settings.calibration) {
    own["calibration"] = {{"text", settings.calibration->text},
                          {"sha256", settings.calibration->sha256},
                          {"windows", settings.calibration->windows},
                          {"window_tokens", settings.calibration->window_tokens},
                          {"seed", settings.calibration->seed}};
  }
  return own;
}

bool stays_dense(const QuantizationSettings& settings, std::string_view module) {
  return std::find(settings.skipped.begin(), settings.skipped.end(), module) !=
         settings.skipped.end();
}

nlohmann::ordered_json bitsandbytes_config(const QuantizationSettings& settings) {
  const WeightFormat format = settings.format;
  const bool eight_bits = format == WeightFormat::int8 || format == WeightFormat::int8_dynamic;
  const bool nested = format == WeightFormat::nf4_dq || format == WeightFormat::fp4_dq;
  const bool nf4 = format == WeightFormat::nf4 || format == WeightFormat::nf4_dq;
  const DType dtype = settings.encode.source_dtype;
  const char* compute = dtype == DType::bf16  ? "bfloat16"
                        : dtype == DType::f32 ? "float32"
                                              : "float16";
  const double threshold = format == WeightFormat::int8_dynamic
                               ? 0.0
                               : static_cast<double>(settings.encode.outlier_threshold);
  // transformers takes null for "leave out the head", and a list for all that is left out.
  nlohmann::ordered_json skipped = settings.skipped;
  if (settings.skipped == std::vector<std::string>{"lm_head"}) skipped = nullptr;
  return {{"_load_in_4bit", !eight_bits},
          {"_load_in_8bit", eight_bits},
          {"bnb_4bit_compute_dtype", compute},
          {"bnb_4bit_quant_storage", "uint8"},
          {"bnb_4bit_quant_type", nf4 ? "nf4" : "fp4"},
          {"bnb_4bit_use_double_quant", nested},
          {"llm_int8_enable_fp32_cpu_offload", false},
          {"llm_int8_has_fp16_weight", false},
          {"llm_int8_skip_modules", skipped},
          {"llm_int8_threshold", threshold},
          {"load_in_4bit", !eight_bits},
          {"load_in_8bit", eight_bits},
          {"quant_method", "bitsandbytes"}};
}

/// A regular expression for exactly this module.
std::string exactly(std::string_view module) {
  std::string pattern = "^";
  for (const char c : module) {
    if (c == '.') pattern += '\\';
    pattern += c;
  }
  return pattern + "$";
}

nlohmann::ordered_json gptq_config(const QuantizationSettings& settings) {
  const bool solved = settings.format == WeightFormat::gptq;
  nlohmann::ordered_json config{
      {"quant_method", "gptq"},
      {"bits", 4},
      {"group_size", solved ? settings.gptq.group : settings.encode.group},
      {"desc_act", solved && settings.gptq.act_order},
      {"sym", solved ? settings.gptq.symmetric : settings.encode.symmetric},
      {"damp_percent", settings.gptq.damping},
      {"static_groups", solved && settings.gptq.act_order},
      {"true_sequential", false},
      {"checkpoint_format", "gptq"},
      {"pack_dtype", "int32"},
      {"lm_head", !stays_dense(settings, "lm_head")}};
  // GPTQModel's and vLLM's way to leave modules out ("-:" and a regular expression); the head is
  // left out by lm_head.
  for (const std::string& module : settings.skipped) {
    if (module != "lm_head")
      config["dynamic"]["-:" + exactly(module)] = nlohmann::ordered_json::object();
  }
  return config;
}

}  // namespace

StoredQuantization stored_quantization(const nlohmann::json& config, const std::string& file) {
  StoredQuantization stored;
  if (config.is_null()) return stored;
  const std::string where = file + ": quantization_config";
  // Files of before transformers 4.32 name no method: only bitsandbytes was there.
  const bool is_old = find_field(config, "quant_method") == nullptr &&
                      (find_field(config, "load_in_4bit") != nullptr ||
                       find_field(config, "load_in_8bit") != nullptr);
  const std::string method =
      is_old ? "bitsandbytes" : require_string(config, "quant_method", where);
  if (method == "bitsandbytes") {
    stored.method = Method::bitsandbytes;
    stored.format = bitsandbytes_format(config, where, stored.outlier_threshold);
  } else if (method == "gptq") {
    stored.method = Method::gptq;
    stored.format = gptq_format(config, where, stored.group);
  } else if (method == "plimsoll") {
    stored.method = Method::plimsoll;
    stored.format = quant::format_from_name(require_string(config, "format", where), where);
  } else {
    throw InputError(where, "quant_method", quote(method), "bitsandbytes, gptq or plimsoll");
  }
  read_own_words(config, where, stored);
  return stored;
}

nlohmann::ordered_json quantization_config(const QuantizationSettings& settings) {
  nlohmann::ordered_json config;
  switch (settings.format) {
    case WeightFormat::int8:
    case WeightFormat::int8_dynamic:
    case WeightFormat::nf4:
    case WeightFormat::nf4_dq:
    case WeightFormat::fp4:
    case WeightFormat::fp4_dq:
      config = bitsandbytes_config(settings);
      break;
    case WeightFormat::int4:
    case WeightFormat::gptq:
      config = gptq_config(settings);
      break;
    default:
      config = {{"quant_method", "plimsoll"},
                {"format", quant::format_name(settings.format)},
                {"modules_to_not_convert", settings.skipped}};
  }
  const nlohmann::ordered_json own = own_words(settings);
  if (!own.is_null()) config[kOwnWords] = own;
  return config;
}

}  // namespace plimsoll
