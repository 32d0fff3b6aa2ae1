// How quantised matrices lie in a checkpoint: reading and writing, one place for both.
//
//   method         formats                 tensors of module X
//   bitsandbytes   nf4 fp4, -dq            X.weight, X.weight.absmax, X.weight.quant_map,
//                                          X.weight.quant_state.bitsandbytes__nf4, and for -dq
//                                          X.weight.nested_absmax, X.weight.nested_quant_map
//   bitsandbytes   int8, int8-dynamic      X.weight, X.SCB, X.weight_format
//                  (threshold 0)
//   gptq           gptq, int4              X.qweight, X.qzeros, X.scales, X.g_idx (v1)
//   plimsoll       fp8                     X.weight, X.weight_scale
//   plimsoll       int8-static             as int8, and X.input_scale, X.input_zero_point
//   plimsoll       log4                    as nf4, with X.weight.quant_state.plimsoll__log4
//
// What the libraries' quantization_config has no word for is in its object "plimsoll", which they
// pass over: "format" (int4, which lies as gptq does), "outlier_scope", "source_dtype",
// "calibration".
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "quant/codec.h"
#include "quant/gptq.h"
#include "storage/checkpoint.h"

namespace plimsoll {

/// What a checkpoint was calibrated on.
struct CalibrationRecord {
  std::string text;    // as the user named it
  std::string sha256;  // of the text
  std::int64_t windows = 0, window_tokens = 0;
  std::uint64_t seed = 0;
};

/// What a config's quantization_config says.
struct StoredQuantization {
  enum class Method { none, bitsandbytes, gptq, plimsoll };
  Method method = Method::none;
  quant::WeightFormat format = quant::WeightFormat::bf16;  // of the quantised matrices
  float outlier_threshold = 6;                             // int8
  bool outliers_by_batch = false;                          // int8
  DType source_dtype = DType::f16;                         // int8: that of its 16-bit products
  int group = 0;                                           // gptq, int4
  std::optional<CalibrationRecord> calibration;
};

/// From quantization_config (null: Method::none). InputError naming `file` and the field for a
/// method or a setting that we do not read.
StoredQuantization stored_quantization(const nlohmann::json& config, const std::string& file);

/// Whether module `name` of this checkpoint is stored quantised (layers may be left out).
bool is_stored_quantized(const Checkpoint& checkpoint, const StoredQuantization& stored,
                         const std::string& name);

/// The matrix [rows, columns] of module `name`, checked. InputError naming file and tensor when a
/// statistic is missing, wrongly shaped or impossible.
quant::Matrix read_quantized(const Checkpoint& checkpoint, const StoredQuantization& stored,
                             const std::string& name, std::int64_t rows, std::int64_t columns);

/// The tensors of a quantised matrix as a checkpoint stores them.
std::vector<std::pair<std::string, Tensor>> stored_tensors(const quant::Matrix& matrix,
                                                           const std::string& name);

/// What quantization_config() has to say.
struct QuantizationSettings {
  quant::WeightFormat format = quant::WeightFormat::nf4;
  quant::EncodeOptions encode;
  quant::GptqOptions gptq;           // gptq
  std::vector<std::string> skipped;  // linear layers that stay dense, "lm_head" among them
  std::optional<CalibrationRecord> calibration;
};

/// The quantization_config of such a checkpoint, as the reference libraries write it.
nlohmann::ordered_json quantization_config(const QuantizationSettings& settings);

}  // namespace plimsoll
