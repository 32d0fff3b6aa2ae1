// A safetensors file from memory; every tensor that it claims to hold is read to its last byte.
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "core/error.h"
#include "storage/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // A buffer of its own: the sanitizer sees a read one byte past the file.
  const auto bytes = std::make_shared<const std::vector<std::uint8_t>>(data, data + size);
  try {
    const plimsoll::SafetensorsFile file = plimsoll::SafetensorsFile::from_bytes(
        "fuzz.safetensors", std::as_bytes(std::span(*bytes)), bytes);
    volatile std::uint8_t sink = 0;
    for (const auto& [name, info] : file.tensors()) {
      const plimsoll::Tensor tensor = file.tensor(name);
      for (std::size_t i = 0; i < tensor.bytes(); ++i) {
        sink = static_cast<std::uint8_t>(sink ^ std::to_integer<std::uint8_t>(tensor.raw()[i]));
      }
    }
  } catch (const plimsoll::InputError& error) {
    // One line, and nothing that a terminal would obey.
    for (const char* c = error.what(); *c != '\0'; ++c) {
      if (static_cast<unsigned char>(*c) < 0x20) __builtin_trap();
    }
    if (std::strlen(error.what()) > 1000) __builtin_trap();
  }
  return 0;
}
