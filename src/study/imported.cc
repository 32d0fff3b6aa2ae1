#include "study/imported.h"

#include "storage/json.h"

namespace plimsoll::study {

namespace {

/// Of the samples where there are any; a row may have their mean and deviation alone.
Sampled speed(const Json& row, const std::string& where) {
  const double mean = require_number(row, "avg_ts", where, 0);
  std::vector<double> samples;
  if (const Json* array = find_array(row, "samples_ts", where)) {
    for (const Json& value : *array) {
      samples.push_back(number_value(value, "samples_ts", where, 0));
    }
  }
  const bool is_summary = samples.empty();
  if (is_summary) samples.push_back(mean);
  for (const double sample : samples) {
    if (sample == 0) throw InputError(where, "avg_ts or samples_ts", "0", "tokens a second");
  }
  Sampled speed = summarised(samples);
  if (is_summary) speed.stddev = find_number(row, "stddev_ts", where, 0).value_or(0);
  return speed;
}

std::string test_name(const Json& row, const std::string& where) {
  const std::int64_t prompt = require_int(row, "n_prompt", where, 0);
  const std::int64_t generated = require_int(row, "n_gen", where, 0);
  if (prompt + generated == 0) {
    throw InputError(where, "n_prompt, n_gen", "0 in both", "tokens in one of them");
  }
  std::string name;
  if (prompt > 0) name = fmt::format("pp{}", prompt);
  if (generated > 0) name += fmt::format("{}tg{}", prompt > 0 ? "+" : "", generated);
  if (const auto depth = find_int(row, "n_depth", where, 0); depth.value_or(0) > 0) {
    name += fmt::format(" @ d{}", *depth);
  }
  return name;
}

}  // namespace

std::vector<Imported> read_llama_bench(const std::filesystem::path& file) {
  const Json rows = read_json_file(file);
  if (!rows.is_array() || rows.empty()) {
    throw InputError(file.string(), "rows", describe(rows),
                     "an array of rows, as llama-bench -o json has it");
  }
  std::vector<Imported> imported;
  imported.reserve(rows.size());
  for (const Json& row : rows) {
    const std::string where = fmt::format("{}: row {}", file.string(), imported.size());
    if (!row.is_object()) throw InputError(where, "row", describe(row), "an object");
    const std::string backend = find_string(row, "backend", where).value_or("");
    // Only ours says how weights are held.
    const bool ours = row.contains("attention") && row.contains("weights");
    imported.push_back(
        {file.string(),
         fmt::format("{} {}{}", ours ? "plimsoll" : "llama.cpp",
                     find_string(row, "build_commit", where).value_or("of unknown build"),
                     backend.empty() ? "" : ", " + backend),
         row.contains("model_type") ? require_string(row, "model_type", where)
                                    : require_string(row, "model_filename", where),
         test_name(row, where), speed(row, where)});
  }
  return imported;
}

}  // namespace plimsoll::study
