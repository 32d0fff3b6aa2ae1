#include "train/data.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/rng.h"

namespace plimsoll::train {

namespace {

void add_example(TrainingBatch& batch, const Example& example, std::int64_t longest) {
  const std::size_t count = std::min(example.ids.size(), static_cast<std::size_t>(longest));
  batch.add(std::span(example.ids).first(count), std::span(example.scored).first(count));
}

/// `index` of the `pass`-th shuffled order of `count` things.
std::int64_t shuffled(std::int64_t index, std::int64_t count, std::uint64_t seed,
                      std::uint64_t pass) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  Rng rng(seed, ~pass);
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[rng.below(i)]);
  return order[static_cast<std::size_t>(index)];
}

}  // namespace

Dataset::Dataset(Material material, const DataOptions& options)
    : material_(std::move(material)), options_(options) {
  const bool stream = material_.is_stream();
  const auto total =
      static_cast<std::int64_t>(stream ? material_.stream.size() : material_.examples.size());
  trained_ = total - static_cast<std::int64_t>(
                         std::floor(static_cast<double>(total) * options_.eval_split));
  const std::int64_t unit = stream ? options_.sequence : 1;
  const char* what = stream ? "tokens" : "examples";
  if (trained_ < unit) {
    throw InputError("--data", "length", fmt::format("{} {} to train on", trained_, what),
                     fmt::format("at least {}", unit));
  }
  if (options_.eval_split > 0 && total - trained_ < unit) {
    throw InputError("--eval-split", "held-out end", fmt::format("{} {}", total - trained_, what),
                     fmt::format("at least {}, or 0 to hold out nothing", unit));
  }
}

std::int64_t Dataset::units() const {
  return material_.is_stream() ? trained_ / options_.sequence : trained_;
}

void Dataset::add_unit(TrainingBatch& batch, std::int64_t index) const {
  if (material_.is_stream()) {
    batch.add(std::span(material_.stream)
                  .subspan(static_cast<std::size_t>(index * options_.sequence),
                           static_cast<std::size_t>(options_.sequence)));
  } else {
    add_example(batch, material_.examples[static_cast<std::size_t>(index)], options_.sequence);
  }
}

std::vector<TrainingBatch> Dataset::step(std::int64_t step) const {
  PLIMSOLL_CHECK(step >= 1);
  Rng rng(options_.seed, static_cast<std::uint64_t>(step));
  const std::int64_t per_step = options_.batch * options_.accumulate;
  std::vector<TrainingBatch> batches(static_cast<std::size_t>(options_.accumulate));
  for (std::int64_t i = 0; i < per_step; ++i) {
    TrainingBatch& batch = batches[static_cast<std::size_t>(i / options_.batch)];
    const std::int64_t position = (step - 1) * per_step + i;
    if (options_.pack) {
      add_unit(batch, position % units());
    } else if (material_.is_stream()) {
      const auto offsets = static_cast<std::uint64_t>(trained_ - options_.sequence + 1);
      batch.add(std::span(material_.stream)
                    .subspan(rng.below(offsets), static_cast<std::size_t>(options_.sequence)));
    } else {
      add_unit(batch, shuffled(position % units(), units(), options_.seed,
                               static_cast<std::uint64_t>(position / units())));
    }
  }
  return batches;
}

std::vector<TrainingBatch> Dataset::held_out() const {
  std::vector<TrainingBatch> batches;
  const auto add = [&](std::span<const std::int32_t> ids, const Example* example) {
    if (batches.empty() || static_cast<std::int64_t>(batches.back().bounds.size()) > options_.batch)
      batches.emplace_back();
    if (example != nullptr) {
      add_example(batches.back(), *example, options_.sequence);
    } else {
      batches.back().add(ids);
    }
  };
  const std::span stream(material_.stream);
  const auto length = static_cast<std::size_t>(options_.sequence);
  for (auto at = static_cast<std::size_t>(trained_); at + length <= stream.size(); at += length)
    add(stream.subspan(at, length), nullptr);
  for (auto i = static_cast<std::size_t>(trained_); i < material_.examples.size(); ++i)
    add({}, &material_.examples[i]);
  return batches;
}

std::int64_t Dataset::steps_of(double epochs) const {
  const auto per_step = static_cast<double>(options_.batch * options_.accumulate);
  return std::max<std::int64_t>(
      1, static_cast<std::int64_t>(std::ceil(epochs * static_cast<double>(units()) / per_step)));
}

std::string Dataset::description() const {
  const bool stream = material_.is_stream();
  const auto total =
      static_cast<std::int64_t>(stream ? material_.stream.size() : material_.examples.size());
  return fmt::format("{} {} to train on, {} held out", trained_, stream ? "tokens" : "examples",
                     total - trained_);
}

}  // namespace plimsoll::train
