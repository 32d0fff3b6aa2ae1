// The functions that every template can call.
#include <fmt/format.h>

#include <array>
#include <ctime>

#include "text/jinja/arguments.h"
#include "text/jinja/builtins.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"

namespace plimsoll::jinja {

namespace {

/// The sandbox's MAX_RANGE.
constexpr std::uint64_t kLongestRange = 100'000;

Value range(Runtime& runtime, const Arguments& arguments) {
  const Parameters parameters("range", arguments, {"start", "stop", "step"}, 1);
  const bool one = !parameters.given(1);
  const std::int64_t start = one ? 0 : parameters.integer(0, 0);
  const std::int64_t stop = parameters.integer(one ? 0 : 1, 0);
  const std::int64_t step = parameters.integer(2, 1);
  if (step == 0) throw TemplateError("range() arg 3 must not be zero");
  std::vector<Value> numbers;
  // Counting in unsigned arithmetic, where the distance between any two integers fits.
  const bool empty = step > 0 ? start >= stop : start <= stop;
  if (!empty) {
    const std::uint64_t distance =
        step > 0 ? static_cast<std::uint64_t>(stop) - static_cast<std::uint64_t>(start)
                 : static_cast<std::uint64_t>(start) - static_cast<std::uint64_t>(stop);
    const std::uint64_t stride =
        step > 0 ? static_cast<std::uint64_t>(step) : ~static_cast<std::uint64_t>(step) + 1;
    const std::uint64_t count = (distance - 1) / stride + 1;
    if (count > kLongestRange) {
      throw TemplateError(
          fmt::format("range() of {} numbers, the limit is {}", count, kLongestRange));
    }
    runtime.step(count / 8);
    std::int64_t number = start;
    for (std::uint64_t i = 0; i < count; ++i) {
      numbers.emplace_back(number);
      if (i + 1 < count) number += step;
    }
  }
  return runtime.sequence(Sequence::Kind::range, std::move(numbers));
}

/// dict(mapping or pairs, name=value, ...), which namespace() takes too.
Dict::Entries entries_from(Runtime& runtime, const Arguments& arguments) {
  if (arguments.positional.size() > 1) {
    throw TemplateError(
        fmt::format("expected at most 1 argument, got {}", arguments.positional.size()));
  }
  Dict::Entries entries;
  for (const Value& source : arguments.positional) {
    if (const Dict* dict = source.dict()) {
      entries = dict->entries();
      continue;
    }
    for (const Value& pair : iterate(runtime, source)) {
      const std::vector<Value> parts = iterate(runtime, pair);
      if (parts.size() != 2) {
        throw TemplateError(fmt::format("a dict is made of pairs, found {} values", parts.size()));
      }
      entries.emplace_back(parts[0], parts[1]);
    }
  }
  for (const auto& [name, value] : arguments.named) {
    entries.emplace_back(runtime.text(name), value);
  }
  return entries;
}

Value make_dict(Runtime& runtime, const Arguments& arguments) {
  return runtime.dict(entries_from(runtime, arguments));
}

Value make_namespace(Runtime& runtime, const Arguments& arguments) {
  Namespace* space = runtime.new_namespace();
  for (const auto& [key, value] : entries_from(runtime, arguments)) {
    if (key.text() == nullptr) throw TemplateError("a namespace's names must be texts");
    space->attributes.insert_or_assign(key.text()->bytes, value);
  }
  return Value(space);
}

Value joiner(Runtime& runtime, const Arguments& arguments) {
  const Parameters parameters("joiner", arguments, {"sep"});
  const Value separator = parameters.given(0) ? parameters.value(0) : runtime.text(", ");
  Namespace* state = runtime.new_namespace();
  return runtime.callable("joiner", [state, separator](Runtime& current, const Arguments& given) {
    const Parameters none("a joiner", given, {});
    const bool first = state->attributes.emplace("used", Value(true)).second;
    return first ? current.text("") : separator;
  });
}

Value cycler(Runtime& runtime, const Arguments& arguments) {
  if (arguments.positional.empty()) throw TemplateError("at least one item has to be provided");
  Namespace* state = runtime.new_namespace();
  const Value items = runtime.tuple(arguments.positional);
  Namespace* position = runtime.new_namespace();
  const auto go_to = [state, position, items](std::int64_t place) {
    position->attributes["place"] = Value(place);
    state->attributes["current"] = items.sequence()->elements[static_cast<std::size_t>(place)];
  };
  go_to(0);
  const auto next = [state, position, items, go_to](Runtime&, const Arguments& given) {
    const Parameters none("cycler.next", given, {});
    const Value shown = state->attributes["current"];
    const auto size = static_cast<std::int64_t>(items.sequence()->elements.size());
    go_to((*position->attributes["place"].integer() + 1) % size);
    return shown;
  };
  const auto reset = [go_to](Runtime&, const Arguments& given) {
    const Parameters none("cycler.reset", given, {});
    go_to(0);
    return Value(None{});
  };
  state->attributes["next"] = runtime.callable("next", next);
  state->attributes["reset"] = runtime.callable("reset", reset);
  return Value(state);
}

Value raise_exception(Runtime& runtime, const Arguments& arguments) {
  const Parameters parameters("raise_exception", arguments, {"message"}, 1);
  throw TemplateError(to_text(runtime, parameters.value(0)));
}

Value strftime_now(Runtime& runtime, const Arguments& arguments) {
  const Parameters parameters("strftime_now", arguments, {"format"}, 1);
  constexpr std::size_t kLongestFormat = 1024;
  const std::string format(parameters.text(0, ""));
  if (format.size() > kLongestFormat || format.find('\0') != std::string::npos) {
    throw TemplateError("strftime_now: the format is too long or holds a zero byte");
  }
  if (format.empty()) return runtime.text("");
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  std::array<char, 8 * kLongestFormat> buffer{};
  const std::size_t size = std::strftime(buffer.data(), buffer.size(), format.c_str(), &local);
  if (size == 0) throw TemplateError("strftime_now: the format gives no text, or too long a one");
  return runtime.text(std::string(buffer.data(), size));
}

Value lipsum(Runtime&, const Arguments&) {
  throw TemplateError("lipsum() is not supported");
}

}  // namespace

std::optional<Value> global_function(Runtime& runtime, std::string_view name) {
  using Function = Value (*)(Runtime&, const Arguments&);
  static const std::map<std::string_view, Function> kFunctions{
      {"range", range},
      {"dict", make_dict},
      {"namespace", make_namespace},
      {"joiner", joiner},
      {"cycler", cycler},
      {"raise_exception", raise_exception},
      {"lipsum", lipsum},
      {"strftime_now", strftime_now},
  };
  const auto found = kFunctions.find(name);
  if (found == kFunctions.end()) return std::nullopt;
  return runtime.callable(std::string(name), found->second);
}

}  // namespace plimsoll::jinja
