#include "core/error.h"
#include "text/sample_text.h"

namespace plimsoll {

namespace {

/// Where the first chapter behind two fifths of the text begins.
std::size_t boundary() {
  const std::string_view text = sample_text();
  constexpr std::string_view kChapterBreak = "\n\n\n";
  const std::size_t found = text.find(kChapterBreak, text.size() * 2 / 5);
  PLIMSOLL_CHECK(found != std::string_view::npos, "the sample text has no chapters");
  return found + kChapterBreak.size();
}

}  // namespace

std::string_view calibration_sample() {
  return sample_text().substr(0, boundary());
}
std::string_view evaluation_sample() {
  return sample_text().substr(boundary());
}

}  // namespace plimsoll
