#include "core/trace.h"

#include <atomic>
#include <chrono>
#include <mutex>

namespace plimsoll::trace {

namespace {

std::atomic<bool> on{false};
std::mutex mutex;
std::vector<Event> events;
thread_local std::string_view part;

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

void start() {
  const std::lock_guard lock(mutex);
  events.clear();
  on = true;
}

std::vector<Event> stop() {
  const std::lock_guard lock(mutex);
  on = false;
  return std::move(events);
}

bool recording() {
  return on.load(std::memory_order_relaxed);
}

Part::Part(std::string_view name) : outer_(part) {
  part = name;
}
Part::~Part() {
  part = outer_;
}

Scope::Scope(std::string_view name, std::int64_t bytes, std::int64_t operations,
             std::string_view unit)
    : on_(recording()) {
  if (on_) event_ = {name, part, now_ns(), 0, bytes, operations, unit};
}

Scope::~Scope() {
  if (!on_) return;
  event_.duration_ns = now_ns() - event_.begin_ns;
  const std::lock_guard lock(mutex);
  events.push_back(event_);
}

}  // namespace plimsoll::trace
