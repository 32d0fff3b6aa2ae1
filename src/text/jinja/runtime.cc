#include "text/jinja/runtime.h"

#include <fmt/format.h>

namespace plimsoll::jinja {

namespace {
constexpr std::uint64_t kStepsBetweenLooksAtTheClock = 4096;
/// A list's element, a dict's entry, any object: rounded up from what the containers take.
constexpr std::uint64_t kObjectBytes = 96;
constexpr std::uint64_t kEntryBytes = 112;
}  // namespace

const char* stack_position() {
  return static_cast<const char*>(__builtin_frame_address(0));
}

Runtime::Runtime(const RenderLimits& limits)
    : limits_(limits),
      deadline_(std::chrono::steady_clock::now() + limits.time),
      stack_base_(stack_position()) {}

void Runtime::step(std::uint64_t count) {
  steps_ += count;
  if (steps_ > limits_.steps) {
    throw TemplateError(fmt::format("the limit of {} steps is passed", limits_.steps));
  }
  if (steps_ < next_look_at_clock_) return;
  next_look_at_clock_ = steps_ + kStepsBetweenLooksAtTheClock;
  if (std::chrono::steady_clock::now() > deadline_) {
    throw TemplateError(fmt::format("the limit of {} ms is passed", limits_.time.count()));
  }
}

void Runtime::take(std::uint64_t bytes) {
  if (bytes > limits_.value_bytes - taken_) {
    throw TemplateError(
        fmt::format("the limit of {} bytes of values is passed", limits_.value_bytes));
  }
  taken_ += bytes;
}

Value Runtime::text(std::string bytes, bool markup) {
  Builder builder(*this);
  builder.append(bytes);
  return builder.finish(markup);
}

Value Runtime::sequence(Sequence::Kind kind, std::vector<Value> elements) {
  step(1 + elements.size() / 8);
  const std::uint64_t bytes = kObjectBytes + elements.size() * sizeof(Value);
  return Value(static_cast<const Sequence*>(make<Sequence>(bytes, kind, std::move(elements))));
}

Value Runtime::dict(const Dict::Entries& entries) {
  step(1 + entries.size());
  auto* made = make<Dict>(kObjectBytes + entries.size() * kEntryBytes);
  for (const auto& [key, value] : entries) made->set(key, value);
  return Value(static_cast<const Dict*>(made));
}

Value Runtime::callable(std::string name, Callable::Function function) {
  return Value(static_cast<const Callable*>(
      make<Callable>(kObjectBytes, std::move(name), std::move(function))));
}

Value Runtime::undefined(std::string why) {
  const std::uint64_t bytes = kObjectBytes + why.size();
  return Value(Undefined{make<Text>(bytes, std::move(why), false)});
}

Namespace* Runtime::new_namespace() {
  return make<Namespace>(kObjectBytes);
}

Loop* Runtime::new_loop(std::vector<Value> items) {
  const std::uint64_t bytes = kObjectBytes + items.size() * sizeof(Value);
  Loop* loop = make<Loop>(bytes);
  loop->items = std::move(items);
  return loop;
}

Value Runtime::call(const Value& function, const Arguments& arguments) {
  step();
  if (const auto* undefined = function.get_if<Undefined>()) {
    throw TemplateError(undefined->why == nullptr ? "an undefined value is called"
                                                  : undefined->why->bytes);
  }
  const Callable* callable = function.callable();
  if (callable == nullptr) {
    throw TemplateError(fmt::format("'{}' object is not callable", type_name(function)));
  }
  return callable->function(*this, arguments);
}

Runtime::Nesting::Nesting(Runtime& runtime, int weight) : runtime_(runtime), weight_(weight) {
  const std::ptrdiff_t used = runtime.stack_base_ - stack_position();
  if (runtime.depth_ + weight > runtime.limits_.depth ||
      (used < 0 ? -used : used) > static_cast<std::ptrdiff_t>(kStackBytes)) {
    throw TemplateError(fmt::format("nested deeper than {} levels", runtime.limits_.depth));
  }
  runtime.depth_ += weight;
}

void Builder::append(std::string_view bytes) {
  append(1, bytes);
}

void Builder::append(std::size_t count, std::string_view bytes) {
  const std::uint64_t limit = runtime_.limits().output_bytes;
  const std::uint64_t room = limit - bytes_.size();
  if (!bytes.empty() && count > room / bytes.size()) {
    throw TemplateError(fmt::format("the limit of {} bytes of text is passed", limit));
  }
  runtime_.read(count * bytes.size());
  runtime_.take(count * bytes.size());
  if (count > 1) bytes_.reserve(bytes_.size() + count * bytes.size());
  for (std::size_t i = 0; i < count; ++i) bytes_.append(bytes);
}

Value Builder::finish(bool markup) {
  bytes_.shrink_to_fit();
  return Value(
      static_cast<const Text*>(runtime_.make<Text>(kObjectBytes, std::move(bytes_), markup)));
}

}  // namespace plimsoll::jinja
