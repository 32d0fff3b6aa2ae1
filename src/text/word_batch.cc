#include "text/word_batch.h"

#include <map>
#include <mutex>

#include "core/threads.h"

namespace plimsoll {

void encode_units(const std::vector<Unit>& units, const UnitReader& reader, bool with_spans,
                  Encoding& encoding) {
  std::map<std::int64_t, Encoding> runs;  // by their first unit
  std::mutex mutex;
  constexpr std::int64_t kUnitsWorthAThread = 4096;
  const auto encode_run = [&](std::int64_t begin, std::int64_t end) {
    Encoding run;
    std::vector<WordToken> tokens;
    const auto worker = with_memory(reader.worker());
    for (std::int64_t i = begin; i < end; ++i) {
      const Unit& unit = units[static_cast<std::size_t>(i)];
      tokens.clear();
      if (unit.id >= 0) {
        tokens.push_back({unit.id, 0, 0});
      } else {
        worker->tokenize(reader.word(unit), tokens);
      }
      for (const WordToken& token : tokens) {
        run.ids.push_back(token.id);
        if (with_spans) run.spans.push_back(reader.span(unit, token));
      }
    }
    const std::lock_guard lock(mutex);
    runs.emplace(begin, std::move(run));
  };
  parallel_for(static_cast<std::int64_t>(units.size()), kUnitsWorthAThread, encode_run);
  for (const auto& [first_unit, run] : runs) {
    encoding.ids.insert(encoding.ids.end(), run.ids.begin(), run.ids.end());
    encoding.spans.insert(encoding.spans.end(), run.spans.begin(), run.spans.end());
  }
}

}  // namespace plimsoll
