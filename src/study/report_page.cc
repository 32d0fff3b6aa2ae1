#include "study/report_page.h"

#include "core/error.h"
#include "study/report_template.h"

namespace plimsoll::study {

bool report_page_available() {
  return !report_template().empty();
}

std::string report_page(std::string_view results_json) {
  constexpr std::string_view kPlace = "/*RESULTS*/";
  const std::string_view page = report_template();
  const std::size_t at = page.find(kPlace);
  PLIMSOLL_CHECK(at != std::string_view::npos, "the report page has no place for the results");
  std::string result(page.substr(0, at));
  result += script_safe(results_json);
  result += page.substr(at + kPlace.size());
  return result;
}

std::string script_safe(std::string_view json) {
  constexpr std::string_view kLineSeparator = "\xe2\x80\xa8", kParagraphSeparator = "\xe2\x80\xa9";
  std::string safe;
  safe.reserve(json.size());
  for (std::size_t i = 0; i < json.size(); ++i) {
    const std::string_view rest = json.substr(i);
    if (rest.front() == '<') {
      safe += "\\u003c";
    } else if (rest.starts_with(kLineSeparator)) {
      safe += "\\u2028";
      i += 2;
    } else if (rest.starts_with(kParagraphSeparator)) {
      safe += "\\u2029";
      i += 2;
    } else {
      safe += rest.front();
    }
  }
  return safe;
}

}  // namespace plimsoll::study
