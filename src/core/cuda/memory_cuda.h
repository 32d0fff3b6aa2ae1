// Memory of a GPU. All of it is taken here, so that what is held and the most that was held are
// known.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "core/cuda/runtime_cuda.h"

namespace plimsoll::cuda {

/// Bytes of the current device, of all buffers of this process.
struct MemoryUse {
  std::uint64_t held = 0;
  std::uint64_t peak = 0;  // the most that was held at once
};
MemoryUse memory_use();
/// The peak becomes what is held now.
void reset_peak_memory_use();
/// Bytes that the driver can still give, other processes' use taken off.
std::uint64_t free_memory();

/// What every InputError about memory that is lacking ends with: advice(bytes that are lacking), in
/// words, or nothing. One for the process, of the model that runs.
void set_memory_advice(std::function<std::string(std::uint64_t lacking)> advice);
/// ": " and that advice, or nothing.
std::string memory_advice(std::uint64_t lacking);

/// InputError "WHAT needs X on the GPU, Y are free: ADVICE" where so much is not free.
void require_memory(std::uint64_t bytes, std::string_view what);

/// Device memory of its own; aligned to 256 bytes. Moved, never copied.
class Buffer {
 public:
  Buffer() = default;
  /// Uninitialised. InputError as require_memory()'s where there is not enough.
  Buffer(std::size_t bytes, std::string_view what);
  /// The bytes of `values`, copied from the host; returns when they are there.
  template <class T>
  static Buffer of(std::span<const T> values, std::string_view what) {
    static_assert(std::is_trivially_copyable_v<T>);
    Buffer buffer(values.size_bytes(), what);
    buffer.upload(values.data(), values.size_bytes(), 0);
    return buffer;
  }
  ~Buffer();
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  std::size_t bytes() const { return bytes_; }
  /// The address on the device; nullptr of an empty buffer.
  template <class T = std::byte>
  T* data() const {
    return reinterpret_cast<T*>(data_);
  }

  /// Host to buffer and back, `bytes` from `offset` on; both return when the bytes are there.
  void upload(const void* source, std::size_t bytes, std::size_t offset);
  void download(void* target, std::size_t bytes, std::size_t offset) const;
  /// Every byte becomes `value`; returns when done.
  void fill(int value);

 private:
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

/// GB/s (1e9 bytes, read plus written) of device-to-device copies, a ceiling that kernels are held
/// against: the median of `repeats` copies of `bytes`.
double copy_bandwidth(std::size_t bytes = std::size_t{2} << 30, int repeats = 9);

}  // namespace plimsoll::cuda
