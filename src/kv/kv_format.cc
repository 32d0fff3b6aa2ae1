#include "kv/kv_format.h"

#include <algorithm>
#include <array>

#include "core/error.h"

namespace plimsoll::kv {

namespace {

constexpr std::array<std::string_view, 4> kNames{"fp32", "bf16", "fp16", "int8"};

}  // namespace

std::string_view kv_format_name(KvFormat format) {
  return kNames[static_cast<std::size_t>(format)];
}

KvFormat kv_format_from_name(std::string_view name, std::string_view flag) {
  const auto* found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end())
    throw InputError(flag, "format of keys and values", name, "fp32, bf16, fp16 or int8");
  return static_cast<KvFormat>(found - kNames.begin());
}

}  // namespace plimsoll::kv
