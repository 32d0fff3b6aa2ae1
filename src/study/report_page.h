// report.html: the results of a study as one page that opens off-line.
#pragma once

#include <string>
#include <string_view>

namespace plimsoll::study {

/// False in a program that was built without Node.js: its reports are Markdown only.
bool report_page_available();

/// The page that shows `results_json` (docs/results-schema.md): HTML, UTF-8, with everything in it.
/// Only where report_page_available().
std::string report_page(std::string_view results_json);

/// `json` as it may stand inside an HTML <script>: without "<", which could end the script or open
/// a comment, and without the two line ends that JSON allows and JavaScript did not. It reads as
/// the same values, because these characters occur in JSON's strings only, where \u may stand for
/// them.
std::string script_safe(std::string_view json);

}  // namespace plimsoll::study
