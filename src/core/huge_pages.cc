#include "core/huge_pages.h"

#include <sys/mman.h>
#include <unistd.h>

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

}  // namespace

Tensor empty_on_huge_pages(DType dtype, Shape shape) {
  const std::size_t bytes = static_cast<std::size_t>(element_count(shape)) * dtype_size(dtype);
  if (bytes < kHugePage) return Tensor::empty(dtype, std::move(shape));
  constexpr std::size_t kWorthAsking = std::size_t{256} << 20;
  if (bytes >= kWorthAsking) require_memory(bytes, "a tensor");
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  const std::size_t kept = (bytes + page - 1) / page * page;
  // The range begins on a huge page; what is mapped too much on both sides goes back.
  void* mapped = mmap(nullptr, kept + kHugePage, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) {
    throw InputError(fmt::format("no memory: {} more were needed", format_bytes(bytes)));
  }
  const auto address = reinterpret_cast<std::uintptr_t>(mapped);
  const std::uintptr_t begin = (address + kHugePage - 1) / kHugePage * kHugePage;
  if (begin > address) munmap(mapped, begin - address);
  const std::uintptr_t end = begin + kept;
  if (end < address + kept + kHugePage) {
    munmap(reinterpret_cast<void*>(end), address + kept + kHugePage - end);
  }
  auto* data = reinterpret_cast<void*>(begin);
  madvise(data, kept, MADV_HUGEPAGE);  // where that is not allowed, small pages do
  return Tensor::view(data, dtype, std::move(shape),
                      std::shared_ptr<const void>(data, Unmap{kept}));
}

}  // namespace plimsoll
