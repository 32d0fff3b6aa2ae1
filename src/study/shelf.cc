#include "study/shelf.h"

#include <algorithm>
#include <set>

#include "core/memory.h"
#include "eval/workload.h"
#include "model/inventory.h"
#include "study/load_weights.h"

namespace plimsoll::study {

namespace {

bool fit_together(const StudyOptions& options, const ModelConfig& config) {
  std::set<quant::WeightFormat> formats;
  for (const Variant& variant : options.variants) formats.insert(variant.weights);
  std::uint64_t total = 0;
  for (const quant::WeightFormat format : formats) {
    total += static_cast<std::uint64_t>(total_bytes(config, format));
  }
  // The other half is for what runs, for other programs and for estimates that fall short.
  return total < ops::available_memory(options.context) / 2;
}

}  // namespace

Shelf::Shelf(const StudyOptions& options, const ModelConfig& config, std::int64_t positions)
    : options_(options), positions_(positions), holds_all_(fit_together(options, config)) {}

void Shelf::hold(std::span<const quant::WeightFormat> formats, const Progress& progress) {
  const auto wanted = [&](quant::WeightFormat format) {
    return std::ranges::find(formats, format) != formats.end();
  };
  if (!holds_all_) {
    std::erase_if(loaded_, [&](const auto& entry) { return !wanted(entry.first); });
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
