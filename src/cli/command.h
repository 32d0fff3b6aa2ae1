// What every command shares: its flags, its errors, its output.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/adapter_flags.h"
#include "cli/context_flags.h"
#include "cli/weight_flags.h"
#include "core/progress.h"
#include "model/load_model.h"
#include "ops/context.h"

namespace plimsoll::cli {

/// Flags of commands that run a model.
struct ModelFlags : ContextFlags {
  std::string model;
  WeightFlags weights;
  AdapterFlags adapters;
  bool allow_long = false;

  /// Loads with a progress bar. `positions` is the longest text that will be run.
  std::unique_ptr<Model> load(std::int64_t positions = 0) const;
  /// The same with what weights.calibration() gave.
  std::unique_ptr<Model> load(std::int64_t positions,
                              const std::optional<compress::CalibrationOptions>& calibration) const;
};

/// Adds MODEL and the flags; `default_compute` is "exact" or "fast".
void add_model_flags(CLI::App& command, ModelFlags& flags, const std::string& default_compute);
/// --format text|json.
void add_format_flag(CLI::App& command, std::string& format);

/// "1,2,3" or "@FILE" with ids separated by commas or white space. InputError naming `flag`.
std::vector<std::int32_t> parse_ids(const std::string& text, const std::string& flag);
/// A whole file that must be UTF-8; "-" is standard input.
std::string read_utf8(const std::string& path);

/// A bar on a terminal, a line now and then otherwise, on standard error. Asks for a stop once the
/// user has pressed Ctrl-C.
Progress progress_bar();
/// Ends the line of a bar that is not complete, before something else is said.
void end_progress_line();
/// Whether Ctrl-C was pressed since the program began or since clear_interrupt(), or the program
/// was ever asked to end (SIGTERM).
bool interrupted();
void clear_interrupt();
void catch_interrupts();

// One file each.
void add_run(CLI::App& app);
void add_logits(CLI::App& app);
void add_eval(CLI::App& app);
void add_tokenize(CLI::App& app);
void add_info(CLI::App& app);
void add_doctor(CLI::App& app);
void add_quantize(CLI::App& app);
void add_finetune(CLI::App& app);
void add_merge(CLI::App& app);
void add_study(CLI::App& app);
void add_bench(CLI::App& app);
void add_profile(CLI::App& app);
void add_fetch(CLI::App& app);
void add_completion(CLI::App& app);

/// Ends a command that has said all that it has to say with a status of its own.
struct ExitStatus {
  int status = 0;
};

/// The whole program: parses, runs, turns exceptions into one line and an exit status (0 done, 1
/// our own fault, 2 bad usage or input, 130 interrupted; a command's own, where it says so).
int run_program(int argc, char** argv);

}  // namespace plimsoll::cli
