// plimsoll quantize: a checkpoint in fewer bits, for this and for other programs.
#include <cmath>
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "compress/save.h"
#include "core/threads.h"
#include "core/units.h"
#include "model/inventory.h"

namespace plimsoll::cli {

namespace {

struct QuantizeFlags {
  std::string model, output, format = "text";
  int threads = 0;
  WeightFlags weights;
};

struct LayerReport {
  std::string module;
  double relative_error = 0;  // |W - Q| / |W|, Frobenius norms
  std::int64_t bytes = 0;
  double bits_per_weight = 0;
};

double relative_error(const Tensor& weights, const quant::Matrix& matrix) {
  const std::int64_t columns = matrix.columns;
  std::vector<double> errors(static_cast<std::size_t>(matrix.rows)), norms(errors.size());
  parallel_for(matrix.rows, 1 + (1 << 14) / columns, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> decoded(static_cast<std::size_t>(columns));
    for (std::int64_t row = begin; row < end; ++row) {
      quant::decode_rows(matrix, row, row + 1, decoded.data());
      const Tensor source = converted(weights.rows(row, row + 1), DType::f32);
      for (std::size_t i = 0; i < decoded.size(); ++i) {
        const double value = source.data<float>()[i];
        errors[static_cast<std::size_t>(row)] += (value - decoded[i]) * (value - decoded[i]);
        norms[static_cast<std::size_t>(row)] += value * value;
      }
    }
  });
  double error = 0, norm = 0;
  for (std::size_t row = 0; row < errors.size(); ++row) {
    error += errors[row];
    norm += norms[row];
  }
  return norm > 0 ? std::sqrt(error / norm) : 0;
}

void check_source(const QuantizeFlags& flags) {
  if (is_shape(flags.model))
    throw InputError(flags.model, "weights", "random ones", "a checkpoint folder");
  const std::string& name = flags.weights.weights;
  if (name.empty() || quant::is_dense(quant::format_from_name(name, "--weights"))) {
    throw InputError("--weights", "format", name.empty() ? "none" : name, "a quantised one");
  }
  const ModelConfig config = load_config(flags.model);
  const auto stored = stored_quantization(config.quantization, flags.model + "/config.json");
  if (stored.method != StoredQuantization::Method::none) {
    throw InputError(flags.model, "weights",
                     fmt::format("quantised already, as {}", quant::format_name(stored.format)),
                     "a dense checkpoint");
  }
}

void run(const QuantizeFlags& flags) {
  set_threads(flags.threads);
  LoadOptions options;
  check_source(flags);
  options.weights = flags.weights.plan(flags.model);
  check_plan(options.weights, load_config(flags.model));
  compress::check_saving(flags.model, options.weights, flags.output);
  const auto calibration = flags.weights.calibration(flags.model);
  options.progress = progress_bar();
  std::vector<LayerReport> layers;
  options.on_encoded = [&](const std::string& module, const Tensor& weights,
                           const quant::Matrix& matrix) {
    layers.push_back({module, relative_error(weights, matrix), quant::matrix_bytes(matrix),
                      quant::bits_per_weight(matrix)});
  };
  const auto model = flags.weights.load(flags.model, options, calibration);
  compress::save_quantized(*model, flags.model, options,
                           calibration.value_or(compress::CalibrationOptions{}), flags.output,
                           options.progress);

  const std::int64_t before = total_bytes(model->config(), std::nullopt);
  const auto record = calibration_record(flags.model, calibration);
  if (flags.format == "json") {
    nlohmann::ordered_json json{{"model", flags.model},
                                {"output", flags.output},
                                {"weights", flags.weights.weights},
                                {"bytes_before", before},
                                {"bytes", model->weight_bytes()}};
    if (record) json["calibration"] = record->text;
    for (const LayerReport& layer : layers) {
      json["layers"].push_back({{"module", layer.module},
                                {"relative_error", layer.relative_error},
                                {"bytes", layer.bytes},
                                {"bits_per_weight", layer.bits_per_weight}});
    }
    std::cout << json.dump() << '\n';
    return;
  }
  std::cout << fmt::format("{:<44} {:>14} {:>10} {:>12}\n", "module", "relative error", "bytes",
                           "bits/weight");
  for (const LayerReport& layer : layers) {
    std::cout << fmt::format(
        "{:<44} {:>14.5f} {:>10} {:>12.3f}\n", layer.module, layer.relative_error,
        format_bytes(static_cast<std::uint64_t>(layer.bytes)), layer.bits_per_weight);
  }
  std::cout << fmt::format(
      "\n{}: {} in {}, {} before ({:.2f})\n", flags.output,
      format_bytes(static_cast<std::uint64_t>(model->weight_bytes())), flags.weights.weights,
      format_bytes(static_cast<std::uint64_t>(before)),
      static_cast<double>(model->weight_bytes()) / static_cast<double>(before));
  std::cout << calibration_line(record);
}

}  // namespace

void add_quantize(CLI::App& app) {
  auto flags = std::make_shared<QuantizeFlags>();
  CLI::App* command = app.add_subcommand("quantize", "Write a checkpoint in a quantised format");
  command->footer(
      "nf4, nf4-dq, fp4, fp4-dq and int8 are written as bitsandbytes serialises them, gptq and "
      "int4 in the\n"
      "GPTQ v1 layout: transformers opens both. fp8, log4 and int8-static are our own. Nothing is\n"
      "left behind when it does not come to its end.\n\n"
      "Examples:\n"
      "  plimsoll quantize models/demo --weights nf4-dq -o demo-nf4\n"
      "  plimsoll quantize models/demo --weights gptq --calibration novel.txt -o demo-gptq\n"
      "  plimsoll run demo-nf4 -p \"The captain\"");
  command->add_option("MODEL,-m,--model", flags->model, "Checkpoint folder")->required();
  command
      ->add_option("-o,--output", flags->output, "Folder to write; must not exist yet, or be empty")
      ->required();
  add_cpu_device_flag(*command, "run, eval and bench take the folder with --device cuda");
  command->add_option("-t,--threads", flags->threads, "Threads (0: every core)")
      ->check(CLI::Range(0, 4096));
  add_weight_flags(*command, flags->weights);
  add_format_flag(*command, flags->format);
  command->callback([flags] { run(*flags); });
}

}  // namespace plimsoll::cli
