#include "study/shelf.h"

#include <algorithm>
#include <set>

#include "core/memory.h"
#include "eval/workload.h"
#include "model/inventory.h"
#include "study/load_weights.h"

namespace plimsoll::study {

Shelf::Shelf(const StudyOptions& options, const ModelConfig& config, std::int64_t positions)
    : options_(options),
      config_(config),
      positions_(positions),
      room_(static_cast<std::int64_t>(ops::available_memory(options.context))) {}

bool Shelf::fit_together(std::span<const quant::WeightFormat> formats) const {
  std::int64_t total = 0;
  for (const quant::WeightFormat format :
       std::set<quant::WeightFormat>(formats.begin(), formats.end())) {
    total += total_bytes(config_, format);
  }
  // The other half is for what runs, for other programs and for estimates that fall short.
  return total < room_ / 2;
}

void Shelf::hold(std::span<const quant::WeightFormat> formats, const Progress& progress) {
  std::vector<quant::WeightFormat> all(formats.begin(), formats.end());
  for (const auto& entry : loaded_) all.push_back(entry.first);
  if (!fit_together(all)) {
    std::erase_if(loaded_, [&](const auto& entry) {
      return std::ranges::find(formats, entry.first) == formats.end();
    });
  }
  for (const quant::WeightFormat format : formats) {
    if (!loaded_.contains(format) && !failures_.contains(format)) load(format, progress);
  }
}

void Shelf::load(quant::WeightFormat format, const Progress& progress) {
  Loaded loaded;
  ops::Device* const device = options_.context.device;
  const auto succeeds = [&](const auto& work) {
    try {
      work();
      return true;
    } catch (const InputError& error) {
      failures_[format] = error.what();
      loaded.model.reset();
      return false;
    }
  };
  loaded.memory.device = device;
  loaded.memory.charge_alone([&] {
    if (!succeeds([&] {
          loaded.model =
              load_weights(options_.model, format, positions_, progress, device == nullptr, device);
        })) {
      return;
    }
    if (options_.on_loaded) options_.on_loaded(*loaded.model);
    if (device != nullptr &&
        !succeeds([&] { move_model(*loaded.model, options_.model, *device); })) {
      return;
    }
    // Mapped weights become resident when they are read first.
    WorkloadRun(*loaded.model, options_.context, {1, 0, 0, 1}).seconds();
  });
  if (loaded.model) loaded_.emplace(format, std::move(loaded));
}

const Loaded* Shelf::find(quant::WeightFormat format) const {
  const auto found = loaded_.find(format);
  return found == loaded_.end() ? nullptr : &found->second;
}

}  // namespace plimsoll::study
