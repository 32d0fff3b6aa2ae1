// What the machine has and what this process used.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace plimsoll {

/// Bytes that can still be had without swapping: the least of MemAvailable, the cgroup's rest and
/// what `ulimit -v` leaves.
std::uint64_t available_memory();
/// Most bytes that were resident at once since the start (VmHWM) or since reset_peak_memory().
std::uint64_t peak_memory();
/// Resident bytes now (VmRSS).
std::uint64_t resident_memory();
/// Starts a new peak where the kernel allows it (/proc/self/clear_refs); false where it does not.
bool reset_peak_memory();

/// InputError "WHAT needs X GB, Y GB are available" when `bytes` cannot be had. Call it before a
/// large allocation: Linux overcommits, so that the allocation itself would succeed and the process
/// be killed later.
void require_memory(std::uint64_t bytes, std::string_view what);

/// aligned_alloc that throws InputError, naming the size, instead of returning null. Free with
/// free().
void* allocate_aligned(std::size_t bytes, std::size_t alignment);

}  // namespace plimsoll
