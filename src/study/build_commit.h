#pragma once

#include <string_view>

namespace plimsoll::study {

/// The commit that the program was built from, abbreviated; "unknown" outside a clone.
std::string_view build_commit();

}  // namespace plimsoll::study
