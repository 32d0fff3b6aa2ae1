// The folder of a study: results.json after every part, tables and the report at the end.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "study/results.h"

namespace plimsoll::study {

/// What to do with a study that is in the folder already.
enum class Existing { refuse, resume, overwrite };

/// Looks at the folder before anything is measured. Gives the finished parts where there are any to
/// go on from. A complete study of the same capsule is measured anew. InputError when the folder
/// holds another study (unless it may be overwritten), when it holds an unfinished one and
/// nothing says what to do with it, when that one cannot go on: another build or machine, and when
/// there is none to go on with.
std::optional<Results> open_output(const std::filesystem::path& folder, Existing existing,
                                   const Results& planned);

/// results.json; of a complete study results.csv, results.md and, where the program has the page,
/// report.html too. Each file whole or not at all. Makes the folder. InputError when it cannot be
/// written.
void save_output(const std::filesystem::path& folder, const Results& results);

/// traces/VARIANT.json; returns that name.
std::string save_trace(const std::filesystem::path& folder, const std::string& variant,
                       const std::string& trace);
/// The names of what a complete study has written, the first to be opened first.
std::vector<std::string> output_files();

/// results.json of a file or of a study's folder.
Results read_results(const std::filesystem::path& path);

}  // namespace plimsoll::study
