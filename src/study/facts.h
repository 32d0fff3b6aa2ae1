// What a study was made of: hashes of the checkpoint's files, the machine, the libraries.
#pragma once

#include <filesystem>
#include <span>

#include "eval/ceilings.h"
#include "model/load_model.h"
#include "study/material.h"
#include "study/results.h"

namespace plimsoll::study {

/// SHA-256 of one file; of several that of the lines "DIGEST  NAME" that sha256sum prints for them,
/// by name. InputError when one cannot be read.
std::string sha256_of_files(std::span<const std::filesystem::path> files);

/// Reads the whole checkpoint for its hash.
ModelFacts model_facts(const std::string& model, const ModelConfig& config);
MachineFacts machine_facts(const ops::Context& context);
/// Of the compiler and of the libraries that figures depend on.
std::map<std::string, std::string> versions();

CeilingFacts ceiling_facts(const Ceilings& ceilings);
/// The capsule of a study that is about to begin.
RunFacts run_facts(const StudyOptions& options, const ModelConfig& config,
                   const Material& material);

/// What the program was called with, without its own name.
std::vector<std::string> command_line();

/// "2026-01-01T00:00:00Z"
std::string utc_now();

}  // namespace plimsoll::study
