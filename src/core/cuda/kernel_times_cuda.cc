#include "core/cuda/kernel_times_cuda.h"

#include <cupti.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <mutex>

#include "core/cuda/open_library.h"
#include "core/cuda/runtime_cuda.h"
#include "core/error.h"

namespace plimsoll::cuda {

namespace {

#if CUPTI_API_VERSION >= 130000
using KernelRecord = CUpti_ActivityKernel10;
#else
using KernelRecord = CUpti_ActivityKernel9;
#endif

constexpr CUpti_ActivityKind kKinds[] = {CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL,
                                         CUPTI_ACTIVITY_KIND_MEMCPY, CUPTI_ACTIVITY_KIND_MEMSET};
constexpr std::size_t kBufferBytes = std::size_t{4} << 20;
constexpr std::size_t kAlignment = 8;

/// The functions that are used. Only the release that the headers are of: records are not the same
/// in others.
struct Library {
  std::string missing;
  decltype(&cuptiActivityRegisterCallbacks) set_callbacks = nullptr;
  decltype(&cuptiActivityRegisterTimestampCallback) set_clock = nullptr;
  decltype(&cuptiActivityEnable) enable = nullptr;
  decltype(&cuptiActivityDisable) disable = nullptr;
  decltype(&cuptiActivityFlushAll) flush = nullptr;
  decltype(&cuptiActivityGetNextRecord) next_record = nullptr;
};

const Library& library() {
  static const Library kLibrary = [] {
    Library found;
    const std::string name = fmt::format("libcupti.so.{}", CUDART_VERSION / 1000);
    const std::vector<std::string> names{name, "/usr/local/cuda/lib64/" + name,
                                         "/usr/local/cuda/extras/CUPTI/lib64/" + name};
    void* handle = nullptr;
    try {
      handle = open_library("kernel times need NVIDIA's CUPTI", names);
    } catch (const InputError& error) {
      found.missing = error.what();
      return found;
    }
    const auto find = [&](auto& function, const char* symbol) {
      if (!find_function(handle, function, symbol))
        found.missing = fmt::format("{} has no {}", name, symbol);
    };
    find(found.set_callbacks, "cuptiActivityRegisterCallbacks");
    find(found.set_clock, "cuptiActivityRegisterTimestampCallback");
    find(found.enable, "cuptiActivityEnable");
    find(found.disable, "cuptiActivityDisable");
    find(found.flush, "cuptiActivityFlushAll");
    find(found.next_record, "cuptiActivityGetNextRecord");
    return found;
  }();
  return kLibrary;
}

void check(CUptiResult result, const char* what) {
  PLIMSOLL_CHECK(result == CUPTI_SUCCESS, "{} failed with CUPTI result {}", what,
                 static_cast<int>(result));
}

/// What CUPTI's threads have delivered.
struct Recording {
  std::mutex mutex;
  std::vector<KernelRun> runs;
};
Recording& recording() {
  static Recording the;
  return the;
}

template <class Record>
KernelRun run_of(const Record& record, std::string name) {
  return {std::move(name), static_cast<std::int64_t>(record.start),
          static_cast<std::int64_t>(record.end - record.start)};
}

std::uint64_t CUPTIAPI now_ns() {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                        std::chrono::steady_clock::now().time_since_epoch())
                                        .count());
}

void CUPTIAPI give_buffer(std::uint8_t** buffer, std::size_t* size, std::size_t* most_records) {
  *buffer = static_cast<std::uint8_t*>(std::aligned_alloc(kAlignment, kBufferBytes));
  *size = *buffer == nullptr ? 0 : kBufferBytes;
  *most_records = 0;
}

void CUPTIAPI take_buffer(CUcontext, std::uint32_t, std::uint8_t* buffer, std::size_t,
                          std::size_t valid) {
  Recording& to = recording();
  const std::lock_guard lock(to.mutex);
  CUpti_Activity* record = nullptr;
  while (valid > 0 && library().next_record(buffer, valid, &record) == CUPTI_SUCCESS) {
    switch (record->kind) {
      case CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL: {
        const auto& kernel = *reinterpret_cast<const KernelRecord*>(record);
        to.runs.push_back(run_of(kernel, readable_kernel_name(kernel.name)));
        break;
      }
      // The fields that are used have stood at the same places in all versions of these records.
      case CUPTI_ACTIVITY_KIND_MEMCPY:
        to.runs.push_back(run_of(*reinterpret_cast<const CUpti_ActivityMemcpy6*>(record), "copy"));
        break;
      case CUPTI_ACTIVITY_KIND_MEMSET:
        to.runs.push_back(run_of(*reinterpret_cast<const CUpti_ActivityMemset4*>(record), "fill"));
        break;
      default:
        break;
    }
  }
  std::free(buffer);
}

}  // namespace

Support cupti_support() {
  return library().missing.empty() ? Support::yes() : Support::no(library().missing);
}

void start_cupti() {
  PLIMSOLL_CUDA_CHECK(cudaDeviceSynchronize());  // what came before is not recorded
  recording().runs.clear();
  check(library().set_clock(now_ns), "setting the clock");
  check(library().set_callbacks(give_buffer, take_buffer), "registering callbacks");
  for (const CUpti_ActivityKind kind : kKinds) check(library().enable(kind), "recording");
}

std::vector<KernelRun> stop_cupti() {
  PLIMSOLL_CUDA_CHECK(cudaDeviceSynchronize());
  check(library().flush(0), "flushing");
  for (const CUpti_ActivityKind kind : kKinds) check(library().disable(kind), "stopping");
  check(library().flush(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED), "flushing");
  Recording& from = recording();
  const std::lock_guard lock(from.mutex);
  std::vector<KernelRun> runs = std::move(from.runs);
  from.runs.clear();
  std::ranges::stable_sort(runs, {}, &KernelRun::begin_ns);
  return runs;
}

}  // namespace plimsoll::cuda
