// Rows of a benchmark in the forms that llama-bench has, with its field names and ours besides.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "study/bench.h"

namespace plimsoll::study {

/// Every field: llama-bench's, then ours. n_batch is the tokens read in one pass.
nlohmann::ordered_json row_json(const BenchRow& row);

/// "md", "csv", "json", "jsonl", "sql".
const std::vector<std::string>& bench_formats();
/// What precedes the rows; empty where nothing does.
std::string bench_header(std::string_view format);
/// One row, whole lines. `first`: of all rows.
std::string bench_row(std::string_view format, const BenchRow& row, bool first);
/// What follows them.
std::string bench_footer(std::string_view format);

}  // namespace plimsoll::study
