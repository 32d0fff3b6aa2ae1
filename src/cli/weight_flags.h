// Flags that say how weights are quantised.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "compress/calibration.h"

namespace plimsoll::cli {

struct WeightFlags {
  std::string weights;  // empty: as stored
  double outlier_threshold = 6;
  std::string outlier_scope = "token";
  int group = 0;  // 0: the format's own, 64 for int4 and 128 for gptq
  bool symmetric = false, act_order = false;
  std::string source_dtype = "fp16";
  std::vector<std::string> skip, include;
  std::string calibration_file;  // empty: the first chapters of the story built in
  std::int64_t calibration_windows = 128, calibration_tokens = 512;
  std::uint64_t calibration_seed = 0;
  std::string observer = "minmax";
  double damping = 0.01;
  const CLI::App* command = nullptr;  // whose flags they are: tells which were given

  /// What the flags ask of `model`. InputError naming the flag when one is wrong or says nothing
  /// about the weights that will run. A checkpoint that is quantised already has been encoded: a
  /// line on standard error names the flags that come too late.
  WeightPlan plan(const std::string& model) const;
  /// What load() calibrates on; none where the format or the checkpoint needs no calibration. Reads
  /// the text.
  std::optional<compress::CalibrationOptions> calibration(const std::string& model) const;
  /// Loads `model` as the flags say, packed for the kernels where `options` say so.
  std::unique_ptr<Model> load(const std::string& model, LoadOptions options,
                              const std::optional<compress::CalibrationOptions>& calibration) const;

 private:
  bool given(const std::string& flag) const;
  /// InputError for a flag that says nothing about the weights that will run; returns those given
  /// that come too late, since the checkpoint is quantised already.
  std::vector<std::string_view> check_use(const std::string& model) const;
  quant::GptqOptions gptq() const;
};

/// What a quantised checkpoint was calibrated on, or what will be; nullptr where neither is so.
/// `calibration` may be empty.
std::optional<CalibrationRecord> calibration_record(
    const std::string& model, const std::optional<compress::CalibrationOptions>& calibration);
/// "calibrated on ..." for people; empty without a record.
std::string calibration_line(const std::optional<CalibrationRecord>& record);

void add_weight_flags(CLI::App& command, WeightFlags& flags);

}  // namespace plimsoll::cli
