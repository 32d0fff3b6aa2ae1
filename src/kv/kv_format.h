// The names of the formats that keys and values are stored in.
#pragma once

#include <string_view>

#include "kv/kv_view.h"

namespace plimsoll::kv {

/// "fp32", "bf16", "fp16" or "int8".
std::string_view kv_format_name(KvFormat format);
/// InputError naming `flag` and the known names.
KvFormat kv_format_from_name(std::string_view name, std::string_view flag = "--kv");

}  // namespace plimsoll::kv
