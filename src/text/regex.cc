#include "text/regex.h"

#include <algorithm>
#include <limits>

#include "core/error.h"
#include "core/quote.h"
#include "text/utf8.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace plimsoll {

namespace {

std::string pcre_message(int error) {
  std::string text(256, '\0');
  const int size =
      pcre2_get_error_message(error, reinterpret_cast<PCRE2_UCHAR*>(text.data()), text.size());
  text.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
  return text;
}

template <class T, void (*Free)(T*)>
struct Freer {
  void operator()(T* object) const { Free(object); }
};
template <class T, void (*Free)(T*)>
using Owned = std::unique_ptr<T, Freer<T, Free>>;

/// What a match needs beside the pattern, once a thread.
struct Scratch {
  Owned<pcre2_match_data, pcre2_match_data_free> data{pcre2_match_data_create(1, nullptr)};
  Owned<pcre2_match_context, pcre2_match_context_free> context{pcre2_match_context_create(nullptr)};
  Owned<pcre2_jit_stack, pcre2_jit_stack_free> stack{
      pcre2_jit_stack_create(32 << 10, 64 << 20, nullptr)};

  Scratch() {
    if (!data || !context || !stack) throw InputError("PCRE2: no memory to match with");
    pcre2_set_heap_limit(context.get(), 1u << 20);  // KiB
    pcre2_jit_stack_assign(context.get(), nullptr, stack.get());
  }
};

}  // namespace

Regex::Regex(std::string_view pcre_pattern, std::string_view where) : name_(where) {
  const Owned<pcre2_compile_context, pcre2_compile_context_free> context(
      pcre2_compile_context_create(nullptr));
  if (!context) throw InputError("PCRE2: no memory to compile a pattern");
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pcre_pattern.data()), pcre_pattern.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error,
                    &offset, context.get());
  if (code == nullptr) {
    throw InputError(where, "pattern",
                     fmt::format("{} ({} at byte {})", quote(pcre_pattern), pcre_message(error),
                                 static_cast<std::size_t>(offset)),
                     "a regular expression");
  }
  code_ = std::shared_ptr<const void>(code, [](const void* pointer) {
    pcre2_code_free(static_cast<pcre2_code*>(const_cast<void*>(pointer)));
  });
  // Without JIT support the interpreter gives the same matches, ten times slower.
  const int jit = pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
  if (jit != 0 && jit != PCRE2_ERROR_JIT_BADOPTION && jit != PCRE2_ERROR_NOMEMORY) {
    throw InputError(where, "pattern", pcre_message(jit), "a regular expression");
  }
}

std::optional<Range> Regex::find(std::string_view text, std::size_t from) const {
  thread_local Scratch scratch;
  // An honest pattern takes some steps a character, and the default limit is too small for a run of
  // megabytes; a hostile one would take exponentially many.
  constexpr std::size_t kStepsAtLeast = 10'000'000, kStepsAByte = 64;
  const std::size_t steps = kStepsAtLeast + kStepsAByte * (text.size() - from);
  pcre2_set_match_limit(scratch.context.get(),
                        static_cast<std::uint32_t>(std::min<std::size_t>(
                            steps, std::numeric_limits<std::uint32_t>::max())));
  const int result = pcre2_match(static_cast<const pcre2_code*>(code_.get()),
                                 reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                                 PCRE2_NO_UTF_CHECK, scratch.data.get(), scratch.context.get());
  if (result == PCRE2_ERROR_NOMATCH) return std::nullopt;
  if (result < 0) {
    throw InputError(fmt::format("{}: PCRE2 gave up at byte {} of {}: {}", name_, from, text.size(),
                                 pcre_message(result)));
  }
  const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(scratch.data.get());
  return Range{ends[0], ends[1]};
}

Pattern Pattern::literal(std::string_view text) {
  PLIMSOLL_CHECK(!text.empty());
  Pattern pattern;
  pattern.literal_ = text;
  return pattern;
}

Pattern Pattern::regex(Regex regex) {
  Pattern pattern;
  pattern.regex_ = std::move(regex);
  return pattern;
}

void Pattern::for_each_match(std::string_view text, const std::function<void(Range)>& visit) const {
  if (!regex_) {
    for (std::size_t at = text.find(literal_); at != std::string_view::npos;
         at = text.find(literal_, at + literal_.size())) {
      visit({at, at + literal_.size()});
    }
    return;
  }
  std::optional<std::size_t> last_end;
  for (std::size_t from = 0; from <= text.size();) {
    const std::optional<Range> match = regex_->find(text, from);
    if (!match) return;
    if (match->begin == match->end && last_end == match->end) {
      from += from < text.size() ? utf8::length(text[from]) : 1;
      continue;
    }
    // A look-behind with \K could report an end before the start or the search position.
    PLIMSOLL_CHECK(match->begin >= last_end.value_or(0) && match->end >= match->begin);
    visit(*match);
    from = match->end;
    last_end = match->end;
  }
}

}  // namespace plimsoll
