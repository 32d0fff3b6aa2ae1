#include "eval/ceilings.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>

#include "core/error.h"
#include "core/memory.h"
#include "core/threads.h"
#include "eval/statistics.h"
#include "kernels/machine_probe/machine_probe.h"
#include "ops/device.h"

namespace plimsoll {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int64_t kMiB = std::int64_t{1} << 20;
/// Read between two looks at the clock: short enough that most windows see no disturbance, long
/// enough (0.1 ms and more) that starting together costs nothing.
constexpr std::int64_t kWindowBytes = 8 * kMiB;
constexpr int kStreams[] = {1, 2, 4, 8};
/// Some milliseconds of a register loop, in windows.
constexpr std::int64_t kIterations = std::int64_t{1} << 18;
constexpr int kUnitWindows = 5;

/// body(thread) on every thread at the same time; the seconds from the last one's start to the last
/// one's end, which is when all of the work was done side by side.
template <class Body>
double seconds_together(int count, const Body& body) {
  std::vector<Clock::time_point> begins(static_cast<std::size_t>(count));
  std::vector<Clock::time_point> ends(begins);
  std::atomic<int> arrived{0};
  parallel_for(count, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t thread = begin; thread < end; ++thread) {
      const auto waits_until = Clock::now() + std::chrono::milliseconds(2);
      arrived.fetch_add(1);
      // An end to the waiting: OpenMP may give fewer threads than were asked for.
      while (arrived.load() < count && Clock::now() < waits_until) {
      }
      begins[static_cast<std::size_t>(thread)] = Clock::now();
      body(thread);
      ends[static_cast<std::size_t>(thread)] = Clock::now();
    }
  });
  const auto first = *std::min_element(begins.begin(), begins.end());
  const auto last = *std::max_element(ends.begin(), ends.end());
  return std::chrono::duration<double>(last - first).count();
}

/// Memory in huge pages where the system gives them, touched by the threads that read it.
class Buffer {
 public:
  Buffer(int count, std::int64_t bytes_per_thread) : bytes_per_thread_(bytes_per_thread) {
    const std::size_t bytes = static_cast<std::size_t>(count * bytes_per_thread);
    data_ = static_cast<std::byte*>(allocate_aligned(bytes, std::size_t{2} * kMiB));
    madvise(data_, bytes, MADV_HUGEPAGE);
    parallel_for(count, 1, [&](std::int64_t begin, std::int64_t end) {
      // Not zeros: the system may keep one page for many of them.
      std::memset(data_ + begin * bytes_per_thread_, 0x5a,
                  static_cast<std::size_t>((end - begin) * bytes_per_thread_));
    });
  }
  ~Buffer() { std::free(data_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  const std::uint64_t* words(std::int64_t thread, std::int64_t offset) const {
    return reinterpret_cast<const std::uint64_t*>(data_ + thread * bytes_per_thread_ + offset);
  }
  std::int64_t bytes_per_thread() const { return bytes_per_thread_; }

 private:
  std::int64_t bytes_per_thread_;
  std::byte* data_ = nullptr;
};

std::int64_t affordable_bytes(int count, std::int64_t wanted) {
  const auto share = static_cast<std::int64_t>(available_memory() / 8 /
                                               static_cast<std::uint64_t>(std::max(count, 1)));
  const std::int64_t bytes = std::min(wanted, share) / kWindowBytes * kWindowBytes;
  require_memory(static_cast<std::uint64_t>(count * kWindowBytes), "measuring the read bandwidth");
  return std::max(bytes, kWindowBytes);
}

MeasuredRate rate_of(const std::vector<double>& samples) {
  PLIMSOLL_CHECK(!samples.empty(), "no round was measured");
  return {median(samples), *std::max_element(samples.begin(), samples.end()), samples.size()};
}

struct ReadSamples {
  KernelVariant<kernels::ReadArgs> probe;
  int streams;
  std::vector<double> gbps;
};

struct UnitSamples {
  std::string_view unit;
  KernelVariant<kernels::DotArgs> probe;
  std::vector<double> gops;
};

template <class Args>
void for_each_probe(std::span<const KernelVariant<Args>> probes, ProbeSet set, const auto& add) {
  for (const KernelVariant<Args>& probe : probes) {
    if (!probe.available()) continue;
    add(probe);
    if (set == ProbeSet::in_use) return;
  }
}

}  // namespace

struct CeilingMeter::State {
  explicit State(std::int64_t bytes_per_thread)
      : buffer(count, affordable_bytes(count, bytes_per_thread)) {}

  int count = threads();
  Buffer buffer;
  std::vector<ReadSamples> reads;
  std::vector<UnitSamples> units;
  std::atomic<std::uint64_t> sink{0};  // what was read must be used

  void read(ReadSamples& samples) {
    for (std::int64_t at = 0; at < buffer.bytes_per_thread(); at += kWindowBytes) {
      const double seconds = seconds_together(count, [&](std::int64_t thread) {
        std::uint64_t checksum = 0;
        samples.probe.run({buffer.words(thread, at), kWindowBytes / 8, samples.streams, &checksum});
        sink.fetch_xor(checksum, std::memory_order_relaxed);
      });
      samples.gbps.push_back(static_cast<double>(count * kWindowBytes) / seconds * 1e-9);
    }
  }

  void multiply(UnitSamples& samples) {
    for (int window = 0; window < kUnitWindows; ++window) {
      std::atomic<std::int64_t> products{0};
      const double seconds = seconds_together(count, [&](std::int64_t) {
        std::int64_t mine = 0;
        samples.probe.run({kIterations, &mine});
        products.fetch_add(mine, std::memory_order_relaxed);
      });
      samples.gops.push_back(2 * static_cast<double>(products.load()) / seconds * 1e-9);
    }
  }
};

CeilingMeter::CeilingMeter(ProbeSet probes, std::int64_t bytes_per_thread)
    : state_(std::make_unique<State>(bytes_per_thread)) {
  for_each_probe(kernels::read_probes(), probes, [&](const auto& probe) {
    for (const int streams : kStreams) state_->reads.push_back({probe, streams, {}});
  });
  const auto add_unit = [&](std::string_view unit, auto variants) {
    for_each_probe(variants, probes, [&](const auto& probe) {
      state_->units.push_back({unit, probe, {}});
    });
  };
  add_unit("fp32", kernels::fp32_probes());
  add_unit("bf16", kernels::bf16_probes());
  add_unit("int8", kernels::int8_probes());
}

CeilingMeter::CeilingMeter(const ops::Context& context) : device_(context.device) {
  if (device_ == nullptr) *this = CeilingMeter(ProbeSet::in_use);
}

CeilingMeter::~CeilingMeter() = default;
CeilingMeter::CeilingMeter(CeilingMeter&&) noexcept = default;
CeilingMeter& CeilingMeter::operator=(CeilingMeter&&) noexcept = default;

void CeilingMeter::round() {
  if (device_ != nullptr) {
    copies_.push_back(device_->copy_gbps());
    products_.push_back(device_->dense_gops());
    return;
  }
  for (ReadSamples& samples : state_->reads) state_->read(samples);
  for (UnitSamples& samples : state_->units) state_->multiply(samples);
}

void CeilingMeter::restart() {
  copies_.clear();
  products_.clear();
  if (device_ != nullptr) return;
  for (ReadSamples& samples : state_->reads) samples.gbps.clear();
  for (UnitSamples& samples : state_->units) samples.gops.clear();
}

Ceilings CeilingMeter::result() const {
  Ceilings ceilings;
  if (device_ != nullptr) {
    ceilings.threads = threads();
    ceilings.reads.push_back({"copy_cuda", 1, rate_of(copies_)});
    ceilings.units.push_back({"fp16", "cublas_fp16", Isa::scalar, rate_of(products_)});
    return ceilings;
  }
  ceilings.threads = state_->count;
  ceilings.bytes_per_thread = state_->buffer.bytes_per_thread();
  for (const ReadSamples& samples : state_->reads) {
    ceilings.reads.push_back(
        {std::string(samples.probe.name), samples.streams, rate_of(samples.gbps)});
  }
  for (const UnitSamples& samples : state_->units) {
    ceilings.units.push_back({std::string(samples.unit), std::string(samples.probe.name),
                              samples.probe.isa, rate_of(samples.gops)});
  }
  return ceilings;
}

const ReadCeiling& Ceilings::read() const {
  PLIMSOLL_CHECK(!reads.empty());
  return *std::max_element(reads.begin(), reads.end(), [](const auto& a, const auto& b) {
    return a.gbps.median < b.gbps.median;
  });
}

const UnitCeiling* Ceilings::unit(std::string_view name) const {
  const auto found =
      std::find_if(units.begin(), units.end(), [&](const auto& unit) { return unit.unit == name; });
  return found == units.end() ? nullptr : &*found;
}

namespace {

Ceilings measured(CeilingMeter meter) {
  constexpr int kRounds = 6;
  for (int i = 0; i < kRounds; ++i) meter.round();
  return meter.result();
}

}  // namespace

Ceilings measure_ceilings(ProbeSet probes) {
  return measured(CeilingMeter(probes));
}

Ceilings measure_ceilings(ops::Device& device) {
  ops::Context context;
  context.device = &device;
  return measured(CeilingMeter(context));
}

}  // namespace plimsoll
