// The report page as web/ builds it, with a place for the results.
#pragma once

#include <string_view>

namespace plimsoll {

/// HTML, UTF-8; empty in a program that was built without Node.js.
std::string_view report_template();

}  // namespace plimsoll
