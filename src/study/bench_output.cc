#include "study/bench_output.h"

#include <algorithm>
#include <array>

#include "core/cpu.h"
#include "core/units.h"
#include "eval/statistics.h"
#include "kv/kv_format.h"
#include "study/build_commit.h"

namespace plimsoll::study {

namespace {

using Json = nlohmann::ordered_json;

/// A column of the Markdown table: heading, width, alignment.
struct Column {
  std::string_view name;
  std::size_t width;
  bool right;
};
constexpr std::array<Column, 12> kColumns{{{"model", 24, false},
                                           {"weights", 8, false},
                                           {"attention", 9, false},
                                           {"size", 8, true},
                                           {"params", 8, true},
                                           {"threads", 7, true},
                                           {"batch", 5, true},
                                           {"test", 14, true},
                                           {"t/s", 18, true},
                                           {"GB/s", 6, true},
                                           {"GOP/s", 6, true},
                                           {"of ceiling", 16, true}}};

std::string markdown(const std::array<std::string, kColumns.size()>& cells) {
  std::string line = "|";
  for (std::size_t i = 0; i < cells.size(); ++i) {
    line += kColumns[i].right ? fmt::format(" {:>{}} |", cells[i], kColumns[i].width)
                              : fmt::format(" {:<{}} |", cells[i], kColumns[i].width);
  }
  return line + "\n";
}

std::string markdown_row(const BenchRow& row) {
  const std::vector<double> rates = row.rates();
  return markdown(
      {row.model, std::string(quant::format_name(row.weights)),
       std::string(ops::attention_name(row.attention)),
       format_bytes(static_cast<std::uint64_t>(row.model_bytes)),
       format_count(static_cast<double>(row.parameters)), fmt::format("{}", row.threads),
       fmt::format("{}", row.workload.batch), row.workload.name(),
       fmt::format("{:.2f} ± {:.2f}", mean(rates), standard_deviation(rates)),
       fmt::format("{:.1f}", row.achieved_gbps()), fmt::format("{:.0f}", row.achieved_gops()),
       fmt::format("{:.2f} {}", row.share_of_ceiling(), row.bound())});
}

std::string markdown_header() {
  std::array<std::string, kColumns.size()> names;
  std::string rule = "|";
  for (std::size_t i = 0; i < names.size(); ++i) {
    names[i] = kColumns[i].name;
    rule += fmt::format(" {}{} |", std::string(kColumns[i].width - 1, '-'),
                        kColumns[i].right ? ":" : "-");
  }
  return markdown(names) + rule + "\n";
}

/// A value as one cell: arrays joined by spaces, null as nothing.
std::string cell(const Json& value) {
  if (value.is_null()) return {};
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) return value.dump();
  std::string text;
  for (const Json& element : value) {
    if (!text.empty()) text += ' ';
    text += cell(element);
  }
  return text;
}

/// In `mark`s, with those inside doubled: CSV and SQL agree on that.
std::string quoted(const std::string& text, char mark) {
  std::string result(1, mark);
  for (const char character : text) {
    if (character == mark) result += mark;
    result += character;
  }
  return result + mark;
}

template <class Write>
std::string joined(const Json& object, const Write& write) {
  std::string line;
  for (const auto& [key, value] : object.items()) {
    if (!line.empty()) line += ',';
    line += write(key, value);
  }
  return line;
}

bool is_flash(std::string_view kernel) {
  return kernel.starts_with("attention_flash");
}

std::string sql_type(const Json& value) {
  if (value.is_number_float()) return "REAL";
  return value.is_number() || value.is_boolean() ? "INTEGER" : "TEXT";
}

std::string sql_value(const Json& value) {
  if (value.is_null()) return "NULL";
  if (value.is_boolean()) return value.get<bool>() ? "1" : "0";
  return value.is_number() ? value.dump() : quoted(cell(value), '\'');
}

std::string sql_table(const Json& object) {
  return "CREATE TABLE IF NOT EXISTS plimsoll_bench (" +
         joined(object, [](const std::string& key,
                           const Json& value) { return key + " " + sql_type(value); }) +
         ");\n";
}

}  // namespace

nlohmann::ordered_json row_json(const BenchRow& row) {
  const std::vector<double> rates = row.rates();
  Json samples_ns = Json::array();
  std::vector<double> nanoseconds;
  for (const double seconds : row.seconds) {
    nanoseconds.push_back(seconds * 1e9);
    samples_ns.push_back(static_cast<std::int64_t>(seconds * 1e9));
  }
  Json peak;
  if (row.peak_memory_bytes) peak = *row.peak_memory_bytes;
  const Workload& workload = row.workload;
  return {{"build_commit", build_commit()},
          {"cpu_info", cpu_model_name()},
          {"gpu_info", row.gpu},
          {"backend", row.gpu.empty() ? "CPU" : "CUDA"},
          {"model_filename", row.model},
          {"model_type", fmt::format("{} {} {}", row.model_type,
                                     format_count(static_cast<double>(row.parameters)),
                                     quant::format_name(row.weights))},
          {"model_size", row.model_bytes},
          {"model_n_params", row.parameters},
          {"n_batch", row.chunk},
          {"n_threads", row.threads},
          {"type_k", kv::kv_format_name(row.kv)},
          {"type_v", kv::kv_format_name(row.kv)},
          {"flash_attn", std::ranges::any_of(row.kernels, is_flash)},
          {"n_prompt", workload.prompt},
          {"n_gen", workload.generate},
          {"n_depth", workload.depth},
          {"test_time", row.test_time},
          {"avg_ns", static_cast<std::int64_t>(mean(nanoseconds))},
          {"stddev_ns", static_cast<std::int64_t>(standard_deviation(nanoseconds))},
          {"avg_ts", mean(rates)},
          {"stddev_ts", standard_deviation(rates)},
          {"samples_ns", std::move(samples_ns)},
          {"samples_ts", rates},
          {"test", workload.name()},
          {"n_sequences", workload.batch},
          {"weights", quant::format_name(row.weights)},
          {"attention", ops::attention_name(row.attention)},
          {"kv", kv::kv_format_name(row.kv)},
          {"compute", ops::compute_name(row.compute)},
          {"numerics", ops::numerics_name(row.numerics)},
          {"isa", isa_name(current_isa())},
          {"interleaved", row.interleaved},
          {"median_ns", static_cast<std::int64_t>(median(nanoseconds))},
          {"median_ts", median(rates)},
          {"spread", relative_spread(nanoseconds)},
          {"bytes_per_token", row.bytes_per_token()},
          {"achieved_gbps", row.achieved_gbps()},
          {"achieved_gops", row.achieved_gops()},
          {"ceiling_gbps", row.ceiling_gbps},
          {"ceiling_gops", row.ceiling_gops},
          {"ceiling_unit", row.unit},
          {"share_of_ceiling", row.share_of_ceiling()},
          {"bound", row.bound()},
          {"peak_memory_bytes", std::move(peak)},
          {"kernels", row.kernels}};
}

const std::vector<std::string>& bench_formats() {
  static const std::vector<std::string> formats{"md", "csv", "json", "jsonl", "sql"};
  return formats;
}

std::string bench_header(std::string_view format) {
  if (format == "md") return markdown_header();
  return format == "json" ? "[" : "";
}

std::string bench_row(std::string_view format, const BenchRow& row, bool first) {
  if (format == "md") return markdown_row(row);
  const Json object = row_json(row);
  if (format == "json") return (first ? "\n" : ",\n") + object.dump();
  if (format == "jsonl") return object.dump() + "\n";
  if (format == "csv") {
    const std::string names =
        first ? joined(object, [](const std::string& key, const Json&) { return key; }) + "\n" : "";
    return names +
           joined(object,
                  [](const std::string&, const Json& value) { return quoted(cell(value), '"'); }) +
           "\n";
  }
  PLIMSOLL_CHECK(format == "sql", "{}", format);
  const std::string names = joined(object, [](const std::string& key, const Json&) { return key; });
  const std::string values =
      joined(object, [](const std::string&, const Json& value) { return sql_value(value); });
  return (first ? sql_table(object) : "") + "INSERT INTO plimsoll_bench (" + names + ") VALUES (" +
         values + ");\n";
}

std::string bench_footer(std::string_view format) {
  return format == "json" ? "\n]\n" : "";
}

}  // namespace plimsoll::study
