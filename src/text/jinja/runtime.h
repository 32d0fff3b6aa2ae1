// One rendering: the values that it made, and how much of its limits is left.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/limits.h"
#include "text/jinja/value.h"

namespace plimsoll::jinja {

class Runtime {
 public:
  explicit Runtime(const RenderLimits& limits);

  const RenderLimits& limits() const { return limits_; }

  /// Counts work; TemplateError past the limit of steps or of time.
  void step(std::uint64_t count = 1);
  /// Counts the work of reading `bytes` bytes.
  void read(std::size_t bytes) { step(1 + bytes / 64); }
  /// Counts memory before it is taken; TemplateError past the limit.
  void take(std::uint64_t bytes);

  Value text(std::string bytes, bool markup = false);
  Value sequence(Sequence::Kind kind, std::vector<Value> elements);
  Value list(std::vector<Value> elements) {
    return sequence(Sequence::Kind::list, std::move(elements));
  }
  Value tuple(std::vector<Value> elements) {
    return sequence(Sequence::Kind::tuple, std::move(elements));
  }
  Value generator(std::vector<Value> elements) {
    return sequence(Sequence::Kind::generator, std::move(elements));
  }
  Value dict(const Dict::Entries& entries);
  Value callable(std::string name, Callable::Function function);
  /// An undefined value whose use fails with `why`.
  Value undefined(std::string why);
  Namespace* new_namespace();
  Loop* new_loop(std::vector<Value> items);

  /// Keeps `object` until the end of the rendering.
  template <class T, class... Args>
  T* make(std::uint64_t bytes, Args&&... args) {
    take(bytes);
    auto object = std::make_unique<T>(std::forward<Args>(args)...);
    T* borrowed = object.get();
    objects_.push_back(std::move(object));
    return borrowed;
  }

  /// Calls a value; TemplateError when it is not callable.
  Value call(const Value& function, const Arguments& arguments);

  /// Held by whatever recurses. TemplateError when the recursion is deeper than the limit, or the
  /// thread's stack is nearly used up.
  class Nesting {
   public:
    /// `weight` 0 guards the stack alone.
    explicit Nesting(Runtime& runtime, int weight = 1);
    ~Nesting() { runtime_.depth_ -= weight_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;

   private:
    Runtime& runtime_;
    int weight_;
  };

 private:
  RenderLimits limits_;
  std::chrono::steady_clock::time_point deadline_;
  std::uint64_t steps_ = 0;
  std::uint64_t next_look_at_clock_ = 0;
  std::uint64_t taken_ = 0;
  int depth_ = 0;
  const char* stack_base_;
  std::vector<std::unique_ptr<Object>> objects_;
};

/// A text in the making; every byte is counted, and none is taken past the limit.
class Builder {
 public:
  explicit Builder(Runtime& runtime) : runtime_(runtime) {}
  void append(std::string_view bytes);
  void append(std::size_t count, std::string_view bytes);
  std::string_view view() const { return bytes_; }
  std::string release() { return std::move(bytes_); }
  /// The finished text as a value.
  Value finish(bool markup = false);

 private:
  Runtime& runtime_;
  std::string bytes_;
};

/// The address of this function's frame: how far the stack has grown.
const char* stack_position();
/// The most that parsing or rendering may use of the thread's stack.
inline constexpr std::size_t kStackBytes = 2U << 20;

}  // namespace plimsoll::jinja
