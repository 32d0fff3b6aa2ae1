// The parts of a study that judge what the variants say.
#include <algorithm>

#include "core/memory.h"
#include "core/units.h"
#include "study/judging.h"
#include "study/sitting.h"

namespace plimsoll::study {

using quant::WeightFormat;

std::int64_t Study::Impl::judging_units(std::size_t models) const {
  return static_cast<std::int64_t>(models * material.judged.size()) / 3;
}

void Study::Impl::write_samples(std::size_t index) {
  VariantResult& result = results.variants[index];
  if (result.samples.empty()) result.samples = samples_of(runnable(index), material);
}

std::optional<std::string> Study::Impl::why_no_reference(std::size_t reference) const {
  const VariantResult& variant = results.variants[reference];
  const auto failure = shelf.failures().find(options.variants[reference].weights);
  std::optional<std::string> why;
  if (failure != shelf.failures().end()) {
    why = fmt::format("could not be loaded: {}", failure->second);
  } else if (variant.memory.needed_bytes > shelf.room()) {
    why = fmt::format("needs {}, {} are available",
                      format_bytes(static_cast<std::uint64_t>(variant.memory.needed_bytes)),
                      format_bytes(static_cast<std::uint64_t>(shelf.room())));
  }
  if (why) why = fmt::format("its quality is not known: the reference, {}, {}", variant.name, *why);
  return why;
}

void Study::Impl::leave_unjudged(const std::vector<std::size_t>& indices, const std::string& why) {
  for (const std::size_t index : indices) {
    results.variants[index].quality_reason = why;
    shelf.hold(formats_of({index}), {});
    write_samples(index);
  }
  save();
}

void Study::Impl::judge_group(const std::vector<std::size_t>& candidates, std::size_t reference) {
  std::vector<std::size_t> judged = candidates;
  judged.push_back(reference);
  const Progress loading = work.begin(kLoadUnits);
  // What is loaded first leaves less for the others.
  std::vector<WeightFormat> formats = formats_of({reference});
  shelf.hold(formats, loading);
  if (const auto why = why_no_reference(reference)) return leave_unjudged(candidates, *why);
  for (const WeightFormat format : formats_of(candidates)) {
    const VariantResult& candidate = results.variants[candidates.front()];
    if (shelf.find(format) == nullptr &&
        candidate.memory.needed_bytes >
            static_cast<std::int64_t>(ops::available_memory(options.context))) {
      return leave_unjudged(candidates,
                            fmt::format("its quality is not known: it does not fit the memory "
                                        "beside the reference, {}",
                                        results.reference));
    }
    if (format != formats.front()) formats.push_back(format);
  }
  shelf.hold(formats, loading);
  std::vector<Runnable> runnables;
  runnables.reserve(candidates.size());
  for (const std::size_t index : candidates) runnables.push_back(runnable(index));
  const auto found =
      judge(runnables, runnable(reference), material, work.begin(judging_units(judged.size())));
  for (std::size_t i = 0; i < judged.size(); ++i) {
    VariantResult& variant = results.variants[judged[i]];
    variant.quality = found[i];
    variant.quality_reason.reset();
    write_samples(judged[i]);
  }
  save();
}

void Study::Impl::judge_all() {
  if (!material.tokenizer) return;
  const std::size_t reference = index_of(results.reference);
  for (const std::vector<std::size_t>& group : groups(formats_of({reference}))) {
    std::vector<std::size_t> candidates;
    for (const std::size_t index : group) {
      const VariantResult& variant = results.variants[index];
      if (index != reference && variant.measured() && !variant.quality) candidates.push_back(index);
    }
    if (candidates.empty()) continue;
    if (const auto why = why_no_reference(reference)) {
      leave_unjudged(candidates, *why);
    } else {
      judge_group(candidates, reference);
    }
  }
  // Where no other was judged.
  const VariantResult& alone = results.variants[reference];
  if (alone.measured() && !alone.quality) judge_group({}, reference);
}

}  // namespace plimsoll::study
