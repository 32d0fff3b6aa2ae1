#include "study/output.h"

#include <unistd.h>

#include "core/error.h"
#include "storage/atomic_file.h"
#include "study/report_page.h"
#include "study/tables.h"

namespace plimsoll::study {

namespace {

namespace fs = std::filesystem;

/// The first field in which the capsules differ: its name, what `a` has and what `b` has.
struct Difference {
  std::string field, a, b;
};

std::string shortened(const std::string& text) {
  constexpr std::size_t kLimit = 60;
  return text.size() > kLimit ? text.substr(0, kLimit) + "..." : text;
}

std::optional<Difference> difference(const Results& a, const Results& b, bool sitting) {
  const auto first = capsule_of(a, sitting), second = capsule_of(b, sitting);
  for (const auto& [field, value] : second) {
    const auto found = first.find(field);
    const std::string other = found == first.end() ? "nothing" : found->second;
    if (other != value) return Difference{field, shortened(other), shortened(value)};
  }
  return std::nullopt;
}

/// Finds out before the work what would only be found out after it.
void check_writable(const fs::path& folder) {
  std::error_code error;
  fs::path there = fs::absolute(folder, error);
  while (!fs::exists(fs::symlink_status(there, error)) && there.has_relative_path()) {
    there = there.parent_path();
  }
  if (!fs::is_directory(there, error)) {
    throw InputError(folder.string(), "-o", there.string() + ", a file", "a folder");
  }
  if (::access(there.c_str(), W_OK | X_OK) != 0) {
    throw InputError(folder.string(), "-o",
                     fmt::format("no permission to write to {}", there.string()),
                     "a folder that can be written");
  }
}

}  // namespace

std::optional<Results> open_output(const fs::path& folder, Existing existing,
                                   const Results& planned) {
  const fs::path file = folder / "results.json";
  std::error_code error;
  check_writable(folder);
  if (existing == Existing::overwrite) return std::nullopt;
  if (!fs::exists(file, error)) {
    if (existing != Existing::resume) return std::nullopt;
    throw InputError(
        fmt::format("{}: --resume: found no study there, expected an unfinished one; "
                    "the command without --resume begins one",
                    folder.string()));
  }
  Results earlier = results_from_json(read_text_file(file), file.string());
  if (const auto other = difference(earlier, planned, false)) {
    throw InputError(fmt::format(
        "{}: another study: {}: found {}, expected {}; -o names another folder, --overwrite "
        "replaces it",
        file.string(), other->field, other->a, other->b));
  }
  if (existing == Existing::resume) {
    if (const auto other = difference(earlier, planned, true)) {
      throw InputError(fmt::format(
          "{}: --resume: {}: found {}, expected {}: figures of the two do not belong together; "
          "--overwrite begins anew",
          file.string(), other->field, other->a, other->b));
    }
    return earlier;
  }
  if (earlier.run.complete) return std::nullopt;
  throw InputError(file.string(), "study", "an unfinished one",
                   "--resume to go on with it, or --overwrite to begin anew");
}

void save_output(const fs::path& folder, const Results& results) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw InputError(folder.string(), "-o", error.message(), "a folder to write to");
  write_file_atomically(folder / "results.json", to_json(results));
  if (!results.run.complete) return;
  write_file_atomically(folder / "results.csv", as_csv(results));
  write_file_atomically(folder / "results.md", as_markdown(results));
  if (report_page_available()) {
    write_file_atomically(folder / "report.html", report_page(to_json(results)));
  }
}

std::string save_trace(const fs::path& folder, const std::string& variant,
                       const std::string& trace) {
  const fs::path name = fs::path("traces") / (variant + ".json");
  std::error_code error;
  fs::create_directories((folder / name).parent_path(), error);
  if (error) throw InputError(folder.string(), "traces", error.message(), "a folder to write to");
  write_file_atomically(folder / name, trace);
  return name.generic_string();
}

std::vector<std::string> output_files() {
  std::vector<std::string> files{"results.json", "results.csv", "results.md"};
  if (report_page_available()) files.insert(files.begin(), "report.html");
  return files;
}

Results read_results(const fs::path& path) {
  std::error_code error;
  const fs::path file = fs::is_directory(path, error) ? path / "results.json" : path;
  return results_from_json(read_text_file(file), file.string());
}

}  // namespace plimsoll::study
