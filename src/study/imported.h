// Other engines' figures, as llama-bench writes them: plimsoll bench does too.
#pragma once

#include <filesystem>
#include <vector>

#include "study/results.h"

namespace plimsoll::study {

/// The rows of `llama-bench -o json`. InputError naming the file, the row and the field.
std::vector<Imported> read_llama_bench(const std::filesystem::path& file);

}  // namespace plimsoll::study
