// The parts of a study that judge what the variants say.
#include <algorithm>

#include "core/memory.h"
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

void Study::Impl::judge_group(const std::vector<std::size_t>& candidates, std::size_t reference) {
  std::vector<std::size_t> judged = candidates;
  judged.push_back(reference);
  const Progress loading = work.begin(kLoadUnits);
  // What is loaded first leaves less for the others.
  std::vector<WeightFormat> formats = formats_of({reference});
  shelf.hold(formats, loading);
  for (const WeightFormat format : formats_of(candidates)) {
    const VariantResult& candidate = results.variants[candidates.front()];
    if (shelf.find(format) == nullptr &&
        candidate.memory.needed_bytes >
            static_cast<std::int64_t>(ops::available_memory(options.context))) {
      for (const std::size_t index : candidates) {
        results.variants[index].quality_reason =
            fmt::format("it does not fit the memory beside the reference, {}", results.reference);
      }
      return save();
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
    results.variants[judged[i]].quality = found[i];
    write_samples(judged[i]);
  }
  save();
}

void Study::Impl::judge_all() {
  if (!material.tokenizer) return;
  const std::size_t reference = index_of(results.reference);
  for (const std::vector<std::size_t>& group : groups()) {
    std::vector<std::size_t> candidates;
    for (const std::size_t index : group) {
      const VariantResult& variant = results.variants[index];
      if (index != reference && variant.measured() && !variant.quality) candidates.push_back(index);
    }
    const bool alone = group.front() == reference && !results.variants[reference].quality;
    if (!candidates.empty() || alone) judge_group(candidates, reference);
  }
}

}  // namespace plimsoll::study
