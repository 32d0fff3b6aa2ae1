#include "train/metrics.h"

#include <fstream>
#include <system_error>

#include "core/error.h"
#include "storage/atomic_file.h"

namespace plimsoll::train {

Metrics::Metrics(const std::filesystem::path& folder)
    : file_(folder.empty() ? folder : folder / "metrics.jsonl") {}

void Metrics::keep_up_to(std::int64_t step) {
  rows_.clear();
  if (file_.empty()) return;
  std::ifstream stream(file_);
  std::string text;
  for (std::string line; std::getline(stream, line);) {
    const auto row = nlohmann::ordered_json::parse(line, nullptr, false);
    if (!row.is_object() || !row.contains("step") || !row["step"].is_number_integer()) continue;
    if (row["step"].get<std::int64_t>() > step) continue;
    rows_.push_back(row);
    text += row.dump() + "\n";
  }
  write_file_atomically(file_, text);
}

void Metrics::add(nlohmann::ordered_json row) {
  if (!file_.empty()) {
    std::ofstream stream(file_, std::ios::app);
    stream << row.dump() << '\n' << std::flush;
    if (!stream) throw InputError(file_.string() + ": cannot write to it (is the disk full?)");
  }
  rows_.push_back(std::move(row));
}

void Metrics::discard() {
  rows_.clear();
  std::error_code ignored;
  if (!file_.empty()) std::filesystem::remove(file_, ignored);
}

}  // namespace plimsoll::train
