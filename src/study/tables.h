// The results as tables: for a terminal, for a spreadsheet, for a page.
#pragma once

#include <cstddef>
#include <limits>
#include <string>

#include "study/results.h"

namespace plimsoll::study {

/// A line a variant, and one an imported row, under a line of names; medians, null figures empty.
std::string as_csv(const Results& results);
/// results.md: recommendations, warnings, the table, how it was measured.
std::string as_markdown(const Results& results);
/// The variants' table alone, in columns of spaces or of `|`; a pending variant has its status
/// where figures will be. Columns that matter less are left out where a plain line would be longer
/// than `width`.
enum class TableStyle { plain, markdown };
std::string variant_table(const Results& results, TableStyle style,
                          std::size_t width = std::numeric_limits<std::size_t>::max());

/// "1 variant", "2 variants".
std::string counted(std::size_t count, const std::string& noun);

/// A sentence on numerics_cost, which must be there.
std::string numerics_text(const Results& results);

/// What a speed is: "medians of 8 repeats".
std::string repeats_text(std::int64_t repeats);

/// One paragraph, wrapped at `width` and indented.
std::string wrapped(const std::string& text, std::size_t width, const std::string& indent);

/// A sentence on what gptq and int8-static have seen.
std::string calibration_text(const CalibrationFacts& calibration);

}  // namespace plimsoll::study
