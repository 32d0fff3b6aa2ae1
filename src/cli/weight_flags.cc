#include "cli/weight_flags.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <span>

#include "cli/command.h"
#include "engine/generate.h"
#include "engine/model_tokenizer.h"

namespace plimsoll::cli {

namespace {

using quant::WeightFormat;
using enum quant::WeightFormat;

constexpr std::array kInt8{int8};
constexpr std::array kGrouped{int4, gptq};
constexpr std::array kInt4{int4};
constexpr std::array kGptq{gptq};
constexpr std::array kRounded{int8, int8_dynamic, int8_static, nf4, nf4_dq, fp4, fp4_dq};
constexpr std::array kCalibrated{int8_static, gptq};
constexpr std::array kStatic{int8_static};

/// A flag and the formats that it says something about.
struct FlagUse {
  const char* name;
  std::span<const WeightFormat> formats;  // empty: every quantised one
  bool at_run_time = false;               // also where the checkpoint is quantised already
};

const std::array<FlagUse, 14> kUses{{{"--outlier-threshold", kInt8, true},
                                     {"--outlier-scope", kInt8, true},
                                     {"--group", kGrouped},
                                     {"--symmetric", kInt4},
                                     {"--act-order", kGptq},
                                     {"--damping", kGptq},
                                     {"--source-dtype", kRounded},
                                     {"--skip", {}},
                                     {"--include", {}},
                                     {"--calibration", kCalibrated},
                                     {"--calibration-windows", kCalibrated},
                                     {"--calibration-tokens", kCalibrated},
                                     {"--calibration-seed", kCalibrated},
                                     {"--observer", kStatic}}};

StoredQuantization stored_in(const std::string& model) {
  if (is_shape(model)) return {};
  return stored_quantization(load_config(model).quantization, model + "/config.json");
}

bool is_quantised(const StoredQuantization& stored) {
  return stored.method != StoredQuantization::Method::none;
}

std::int64_t at_least_one(std::int64_t value, const char* flag) {
  constexpr std::int64_t kMost = 1'000'000;
  if (value < 1 || value > kMost)
    throw InputError(flag, "count", std::to_string(value), fmt::format("1 to {}", kMost));
  return value;
}

}  // namespace

bool WeightFlags::given(const std::string& flag) const {
  PLIMSOLL_CHECK(command != nullptr);
  return command->get_option(flag)->count() > 0;
}

std::vector<std::string_view> WeightFlags::check_use(const std::string& model) const {
  const StoredQuantization stored = stored_in(model);
  std::optional<WeightFormat> format;
  if (!weights.empty()) format = quant::format_from_name(weights, "--weights");
  if (!format && is_quantised(stored)) format = stored.format;
  std::vector<std::string_view> late;
  for (const FlagUse& use : kUses) {
    if (!given(use.name)) continue;
    // Quantise stores what stays dense in this dtype, whatever the format.
    const bool any_format =
        use.formats.empty() ||
        (std::string_view(use.name) == "--source-dtype" && command->get_name() == "quantize");
    const bool applies = format && (any_format ? !quant::is_dense(*format)
                                               : std::find(use.formats.begin(), use.formats.end(),
                                                           *format) != use.formats.end());
    if (!applies) {
      std::vector<std::string_view> names;
      for (const WeightFormat known : any_format ? quant::all_formats() : use.formats)
        if (!quant::is_dense(known)) names.push_back(quant::format_name(known));
      throw InputError(use.name, "weights", format ? quant::format_name(*format) : "as stored",
                       fmt::format("{}: it says nothing about others", fmt::join(names, ", ")));
    }
    if (is_quantised(stored) && !use.at_run_time) late.push_back(use.name);
  }
  return late;
}

WeightPlan WeightFlags::plan(const std::string& model) const {
  if (const auto late = check_use(model); !late.empty()) {
    std::fprintf(stderr, "%s\n",
                 fmt::format("plimsoll: {} is quantised already, as {}: {} {} not used", model,
                             quant::format_name(stored_in(model).format), fmt::join(late, ", "),
                             late.size() == 1 ? "is" : "are")
                     .c_str());
  }
  WeightPlan plan;
  if (!weights.empty()) plan.format = quant::format_from_name(weights, "--weights");
  if (!(outlier_threshold >= 0) || outlier_threshold > 1e9) {
    throw InputError("--outlier-threshold", "value", fmt::format("{}", outlier_threshold),
                     "0 (none) or more");
  }
  if (outlier_scope != "token" && outlier_scope != "batch") {
    throw InputError("--outlier-scope", "scope", outlier_scope, "token or batch");
  }
  if (given("--group") && group != 32 && group != 64 && group != 128) {
    throw InputError("--group", "columns", fmt::format("{}", group), "32, 64 or 128");
  }
  plan.encode.outlier_threshold = static_cast<float>(outlier_threshold);
  plan.encode.outliers_by_batch = outlier_scope == "batch";
  if (given("--outlier-threshold")) plan.outlier_threshold = plan.encode.outlier_threshold;
  if (given("--outlier-scope")) plan.outliers_by_batch = plan.encode.outliers_by_batch;
  if (group != 0) plan.encode.group = group;
  plan.encode.symmetric = symmetric;
  plan.encode.source_dtype = quant::dense_dtype([&] {
    const WeightFormat format = quant::format_from_name(source_dtype, "--source-dtype");
    if (!quant::is_dense(format))
      throw InputError("--source-dtype", "dtype", source_dtype, "fp16, bf16 or fp32");
    return format;
  }());
  plan.skip = skip;
  plan.include = include;
  return plan;
}

quant::GptqOptions WeightFlags::gptq() const {
  quant::GptqOptions options;
  if (group != 0) options.group = group;
  options.act_order = act_order;
  if (!(damping > 0 && damping <= 10)) {
    throw InputError("--damping", "share", fmt::format("{}", damping), "more than 0, at most 10");
  }
  options.damping = damping;
  return options;
}

std::optional<compress::CalibrationOptions> WeightFlags::calibration(
    const std::string& model) const {
  check_use(model);
  if (weights.empty() || is_shape(model)) return std::nullopt;
  if (!compress::needs_calibration(quant::format_from_name(weights, "--weights")))
    return std::nullopt;
  if (is_quantised(stored_in(model))) return std::nullopt;
  compress::CalibrationOptions options;
  options.windows = at_least_one(calibration_windows, "--calibration-windows");
  options.window_tokens = at_least_one(calibration_tokens, "--calibration-tokens");
  options.seed = calibration_seed;
  options.gptq = gptq();
  options.observer = quant::observer_from_name(observer, "--observer");
  const ModelConfig config = load_config(model);
  if (given("--calibration-tokens")) {
    check_context(config, options.window_tokens, false, "--calibration-tokens");
  } else {
    options.window_tokens = std::min(options.window_tokens, config.max_positions);
  }
  const auto tokenizer = load_tokenizer(model, config);
  options.text =
      calibration_file.empty()
          ? compress::built_in_calibration_text(*tokenizer)
          : compress::calibration_text(*tokenizer, read_utf8(calibration_file), calibration_file);
  compress::calibration_windows(options);  // long enough? Asked before the model is loaded
  return options;
}

std::unique_ptr<Model> WeightFlags::load(
    const std::string& model, LoadOptions options,
    const std::optional<compress::CalibrationOptions>& calibration) const {
  const bool pack = options.weights.pack;
  options.weights = plan(model);
  options.weights.pack = pack;
  return compress::load_model_in(model, options, calibration ? &*calibration : nullptr);
}

std::optional<CalibrationRecord> calibration_record(
    const std::string& model, const std::optional<compress::CalibrationOptions>& calibration) {
  return calibration ? compress::record_of(*calibration) : stored_in(model).calibration;
}

std::string calibration_line(const std::optional<CalibrationRecord>& record) {
  if (!record) return {};
  return fmt::format("calibrated on {} windows of {} tokens of {} (SHA-256 {:.12}...)\n",
                     record->windows, record->window_tokens, record->text, record->sha256);
}

void add_weight_flags(CLI::App& command, WeightFlags& flags) {
  flags.command = &command;
  std::vector<std::string_view> names;
  for (const WeightFormat format : quant::all_formats())
    names.push_back(quant::format_name(format));
  command.add_option("--weights", flags.weights,
                     fmt::format("Weight format (default: as stored): {}", fmt::join(names, ", ")));
  const auto option = [&](const char* name, auto& value, const char* help) {
    return command.add_option(name, value, help)->capture_default_str()->group("Quantisation");
  };
  option("--outlier-threshold", flags.outlier_threshold,
         "int8: activations of this magnitude are multiplied in 16 bits (0: none); a quantised "
         "checkpoint has its own default");
  option("--outlier-scope", flags.outlier_scope,
         "int8: outlier columns of each token, or of the whole batch as bitsandbytes has them");
  option("--group", flags.group,
         "int4, gptq: columns a scale, 32, 64 or 128 (unless given: 64 for int4, 128 for gptq)");
  command.add_flag("--symmetric", flags.symmetric, "int4: no zero points")->group("Quantisation");
  command.add_flag("--act-order", flags.act_order, "gptq: quantise columns by falling activation")
      ->group("Quantisation");
  option("--damping", flags.damping, "gptq: share of the Hessian's mean diagonal added to it");
  option("--source-dtype", flags.source_dtype,
         "int8, nf4, fp4: what weights are rounded to before they are encoded; quantize: dtype of "
         "what stays dense");
  option("--skip", flags.skip,
         "Modules that keep their dtype, by name or part of a name, separated by commas")
      ->delimiter(',')
      ->allow_extra_args(false);
  option("--include", flags.include,
         "Modules that are quantised though the convention leaves them out (lm_head)")
      ->delimiter(',')
      ->allow_extra_args(false);
  option("--calibration", flags.calibration_file,
         "gptq, int8-static: text to calibrate on (default: the first chapters built in)");
  option("--calibration-windows", flags.calibration_windows, "Windows drawn from it");
  option("--calibration-tokens", flags.calibration_tokens,
         "Tokens a window (unless given: at most the model's context)");
  option("--calibration-seed", flags.calibration_seed, "Of the draw");
  option("--observer", flags.observer, "int8-static: minmax, percentile or mse");
}

}  // namespace plimsoll::cli
