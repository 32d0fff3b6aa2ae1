#include "core/huge_pages.h"

#include <sys/mman.h>
#include <unistd.h>

#include <memory>
#include <mutex>

#include "core/error.h"
#include "core/memory.h"
#include "core/units.h"

namespace plimsoll {

namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

struct Unmap {
  std::size_t bytes;
  void operator()(const void* data) const { munmap(const_cast<void*>(data), bytes); }
};

/// The range begins on a huge page; what is mapped too much on both sides goes back.
std::shared_ptr<const void> map(std::size_t bytes) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  const std::size_t kept = (bytes + page - 1) / page * page;
  void* mapped = mmap(nullptr, kept + kHugePage, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) {
    throw InputError(fmt::format("no memory: {} more were needed", format_bytes(bytes)));
  }
  auto* const begin = static_cast<std::byte*>(mapped);
  const std::size_t before =
      (kHugePage - reinterpret_cast<std::uintptr_t>(begin) % kHugePage) % kHugePage;
  auto* const data = begin + before;
  if (before > 0) munmap(begin, before);
  if (before < kHugePage) munmap(data + kept, kHugePage - before);
  madvise(data, kept, MADV_HUGEPAGE);  // where that is not allowed, small pages do
  return {data, Unmap{kept}};
}

std::size_t bytes_of(DType dtype, const Shape& shape) {
  return static_cast<std::size_t>(element_count(shape)) * dtype_size(dtype);
}

}  // namespace

Tensor empty_on_huge_pages(DType dtype, Shape shape) {
  const std::size_t bytes = bytes_of(dtype, shape);
  if (bytes < kHugePage) return Tensor::empty(dtype, std::move(shape));
  constexpr std::size_t kWorthAsking = std::size_t{256} << 20;
  if (bytes >= kWorthAsking) require_memory(bytes, "a tensor");
  const std::shared_ptr<const void> memory = map(bytes);
  return Tensor::view(memory.get(), dtype, std::move(shape), memory);
}

Tensor empty_on_shared_huge_pages(DType dtype, Shape shape) {
  // What is left at a chunk's end is never touched; of what is larger, little lies in its last,
  // small pages.
  constexpr std::size_t kChunk = std::size_t{128} << 20, kLargest = kChunk / 4;
  constexpr std::size_t kSmallest = std::size_t{4} << 10, kLine = 64;
  const std::size_t bytes = (bytes_of(dtype, shape) + kLine - 1) / kLine * kLine;
  if (bytes > kLargest) return empty_on_huge_pages(dtype, std::move(shape));
  if (bytes < kSmallest) return Tensor::empty(dtype, std::move(shape));
  static std::mutex mutex;
  static std::weak_ptr<const void> last;  // lives as long as what lies in it
  static std::size_t used = 0;
  const std::lock_guard lock(mutex);
  std::shared_ptr<const void> chunk = last.lock();
  if (chunk == nullptr || used + bytes > kChunk) {
    chunk = map(kChunk);
    last = chunk;
    used = 0;
  }
  const auto* const data = static_cast<const std::byte*>(chunk.get()) + used;
  used += bytes;
  return Tensor::view(data, dtype, std::move(shape), chunk);
}

}  // namespace plimsoll
