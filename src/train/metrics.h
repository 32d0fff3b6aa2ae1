// metrics.jsonl: a row a logged step, and one before the first and one after the last with the
// perplexity of the held-out end.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

namespace plimsoll::train {

class Metrics {
 public:
  /// In `folder`; an empty path keeps the rows in memory alone.
  explicit Metrics(const std::filesystem::path& folder);

  /// Rows of an interrupted run up to `step`, in place of whatever is there. A last line that was
  /// cut off is left out.
  void keep_up_to(std::int64_t step);
  /// Appends and flushes. InputError when the file cannot be written (a full disk).
  void add(nlohmann::ordered_json row);
  /// The file and its rows.
  void discard();
  const std::vector<nlohmann::ordered_json>& rows() const { return rows_; }

 private:
  std::filesystem::path file_;
  std::vector<nlohmann::ordered_json> rows_;
};

}  // namespace plimsoll::train
