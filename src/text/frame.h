// Which token begins and which ends a sequence.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

namespace plimsoll {

/// The id of the token that a configuration names, else of the first of `usual` that the vocabulary
/// has. InputError when the one named is not in it.
std::optional<std::int32_t> find_special(
    const std::optional<std::string>& named, std::initializer_list<std::string_view> usual,
    const std::function<std::optional<std::int32_t>(std::string_view)>& id_of,
    const std::string& where);

}  // namespace plimsoll
