#include "ops/context.h"

#include <algorithm>
#include <array>

#include "core/error.h"
#include "core/memory.h"
#include "kv/kv_format.h"
#include "ops/device.h"

namespace plimsoll::ops {

namespace {

constexpr std::array<std::string_view, 3> kAttentionNames{"eager", "flash", "sdpa"};

}  // namespace

std::string_view compute_name(Compute compute) {
  return compute == Compute::exact ? "exact" : "fast";
}

std::string_view attention_name(Attention attention) {
  return kAttentionNames[static_cast<std::size_t>(attention)];
}

std::string_view numerics_name(Numerics numerics) {
  return numerics == Numerics::fast ? "fast" : "invariant";
}

Compute compute_from_name(std::string_view name) {
  if (name == "exact") return Compute::exact;
  if (name == "fast") return Compute::fast;
  throw InputError("--compute", "arithmetic", name, "exact or fast");
}

Attention attention_from_name(std::string_view name, std::string_view flag) {
  const auto found = std::find(kAttentionNames.begin(), kAttentionNames.end(), name);
  if (found == kAttentionNames.end())
    throw InputError(flag, "attention implementation", name, "eager, flash or sdpa");
  return static_cast<Attention>(found - kAttentionNames.begin());
}

Numerics numerics_from_name(std::string_view name) {
  if (name == "fast") return Numerics::fast;
  if (name == "invariant") return Numerics::invariant;
  throw InputError("--numerics", "promise", name, "auto, fast or invariant");
}

std::uint64_t available_memory(const Context& context) {
  if (context.device == nullptr) return plimsoll::available_memory();
  return static_cast<std::uint64_t>(context.device->free_bytes());
}

std::uint64_t peak_memory(const Context& context) {
  if (context.device == nullptr) return plimsoll::peak_memory();
  return static_cast<std::uint64_t>(context.device->peak_bytes());
}

std::map<std::string, std::string> settings_of(const Context& context) {
  return {{"device", context.device == nullptr ? "cpu" : std::string(context.device->kind())},
          {"compute", std::string(compute_name(context.compute))},
          {"attention", std::string(attention_name(context.attention))},
          {"numerics", std::string(numerics_name(context.numerics))},
          {"kv", std::string(kv::kv_format_name(context.kv))}};
}

}  // namespace plimsoll::ops
