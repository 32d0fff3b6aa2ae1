#include "core/cpu.h"

#include <array>
#include <atomic>
#include <fstream>

#include "core/error.h"

namespace plimsoll {

namespace {

constexpr std::array<std::string_view, 4> kNames{"scalar", "avx2", "avx512", "avx512-bf16"};

Isa detect() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return Isa::scalar;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512dq") ||
      !__builtin_cpu_supports("avx512vnni")) {
    return Isa::avx2;
  }
  if (!__builtin_cpu_supports("avx512bf16") || !__builtin_cpu_supports("avx512vbmi")) {
    return Isa::avx512;
  }
  return Isa::avx512_bf16;
#else
  return Isa::scalar;
#endif
}

std::atomic<Isa>& limit() {
  static std::atomic<Isa> value{detected_isa()};
  return value;
}

}  // namespace

std::string_view isa_name(Isa isa) {
  return kNames[static_cast<std::size_t>(isa)];
}

std::optional<Isa> isa_from_name(std::string_view name) {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<Isa>(i);
  }
  return std::nullopt;
}

Isa detected_isa() {
  static const Isa isa = detect();
  return isa;
}

Isa current_isa() {
  return limit().load(std::memory_order_relaxed);
}

void limit_isa(Isa isa) {
  if (isa > detected_isa()) {
    throw InputError("--isa", "instruction set", isa_name(isa),
                     fmt::format("at most {}, what this CPU runs", isa_name(detected_isa())));
  }
  limit().store(isa, std::memory_order_relaxed);
}

std::string cpu_model_name() {
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line)) {
    if (line.rfind("model name", 0) == 0) {
      const auto colon = line.find(": ");
      return colon == std::string::npos ? "" : line.substr(colon + 2);
    }
  }
  return "unknown CPU";
}

}  // namespace plimsoll
