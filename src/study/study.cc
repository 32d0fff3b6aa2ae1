#include "study/study.h"

#include <algorithm>

#include "core/memory.h"
#include "kv/kv_format.h"
#include "model/numerics.h"
#include "study/facts.h"
#include "study/fit.h"
#include "study/sitting.h"
#include "study/verdicts.h"

namespace plimsoll::study {

using quant::WeightFormat;

std::string_view mode_name(Mode mode) {
  switch (mode) {
    case Mode::quick:
      return "quick";
    case Mode::standard:
      return "default";
    case Mode::full:
      return "full";
  }
  PLIMSOLL_CHECK(false);
}

Study::Impl::Impl(StudyOptions given)
    : options(std::move(given)),
      config(load_config(options.model)),
      material(prepare(options, config)),
      generated(static_cast<std::int64_t>(material.decode_prompt.size()) + options.new_tokens),
      positions(std::max(generated, static_cast<std::int64_t>(material.prefill.size()) + 1)),
      shelf(options, config, positions),
      work(options.progress),
      base_memory(options.context.device != nullptr
                      ? options.context.device->held_bytes()
                      : static_cast<std::int64_t>(resident_memory())) {
  plan();
}

void Study::Impl::plan() {
  results.imported = options.imported;
  const std::size_t asked = options.variants.size();
  const auto any = [](std::size_t) { return true; };
  if (material.tokenizer && !reference_among(options.variants, config, any)) {
    options.variants.push_back(own_reference(config, options.context));
  }
  for (const Variant& variant : options.variants) {
    const MemoryNeed need = memory_need(config, variant, options.context, positions);
    VariantResult& result = results.variants.emplace_back();
    result.name = variant.name();
    result.weights = quant::format_name(variant.weights);
    result.attention = ops::attention_name(variant.attention);
    result.kv = kv::kv_format_name(variant.kv);
    result.device = options.context.device == nullptr ? "cpu" : options.context.device->kind();
    result.memory = {need.weights, need.kv, need.workspace, std::nullopt, need.total()};
    result.reason = why_not(need, options.context, options.memory_limit_bytes);
    result.status = result.reason ? "does_not_fit" : kPending;
    if (results.variants.size() > asked) {
      result.status = kReferenceOnly;
      result.reason = "none of --variants: the others are judged against it";
    }
    if (!material.tokenizer) result.quality_reason = "random weights have no quality";
  }
  if (groups().empty()) {
    options.variants.resize(asked);
    refuse_all(options.model, config, options.variants, options.context, positions,
               options.memory_limit_bytes);
  }
  results.run = run_facts(options, config, material);
  const auto runs = [&](std::size_t i) { return results.variants[i].status == kPending; };
  results.reference =
      results.variants[reference_among(options.variants, config, runs).value_or(0)].name;
  name_baseline();
}

void Study::Impl::name_baseline() {
  results.baseline = results.variants[groups().front().front()].name;
}

std::vector<std::vector<std::size_t>> Study::Impl::groups(
    const std::vector<WeightFormat>& beside) const {
  std::vector<std::size_t> running;
  for (std::size_t i = 0; i < results.variants.size(); ++i) {
    const VariantResult& variant = results.variants[i];
    if (variant.status == kPending || variant.measured()) running.push_back(i);
  }
  std::vector<WeightFormat> formats = formats_of(running);
  formats.insert(formats.end(), beside.begin(), beside.end());
  const bool together = shelf.fit_together(formats);
  std::vector<std::vector<std::size_t>> groups;
  for (const std::size_t i : running) {
    const auto found = std::ranges::find_if(groups, [&](const auto& group) {
      return together || options.variants[group.front()].weights == options.variants[i].weights;
    });
    if (found == groups.end()) {
      groups.push_back({i});
    } else {
      found->push_back(i);
    }
  }
  return groups;
}

std::vector<WeightFormat> Study::Impl::formats_of(const std::vector<std::size_t>& indices) const {
  std::vector<WeightFormat> formats;
  for (const std::size_t index : indices) {
    const WeightFormat format = options.variants[index].weights;
    if (std::ranges::find(formats, format) == formats.end()) formats.push_back(format);
  }
  return formats;
}

std::size_t Study::Impl::index_of(const std::string& name) const {
  const VariantResult* found = results.find(name);
  PLIMSOLL_CHECK(found != nullptr, "{}", name);
  return static_cast<std::size_t>(found - results.variants.data());
}

Runnable Study::Impl::runnable(std::size_t index) const {
  const Variant& variant = options.variants[index];
  const Loaded* loaded = shelf.find(variant.weights);
  PLIMSOLL_CHECK(loaded != nullptr, "{}", variant.name());
  return {loaded->model.get(), settled(variant.context(options.context), *loaded->model)};
}

void Study::Impl::run() {
  for (const std::vector<std::size_t>& group : groups()) {
    const auto lacks = [&](const auto& part) {
      return std::ranges::any_of(group, [&](std::size_t i) { return !part(results.variants[i]); });
    };
    if (lacks([](const VariantResult& v) { return v.measured(); })) {
      work.expect(kLoadUnits + timing_units(group.size() + 1));
    }
    if (material.tokenizer && lacks([](const VariantResult& v) { return v.quality.has_value(); })) {
      work.expect(kLoadUnits + judging_units(group.size() + 1));
    }
  }
  if (options.mode != Mode::quick) work.expect(timing_units(results.variants.size() + 2));
  if (options.mode == Mode::full) work.expect(sweeping_units(results.variants.size()));
  time_all();
  if (groups().empty()) throw InputError(results.variants.front().reason.value());
  judge_all();
  profile_all();
  sweep_all();
}

void Study::Impl::save() {
  results.run.seconds =
      earlier_seconds + std::chrono::duration<double>(Clock::now() - started).count();
  draw_conclusions(results);
  if (options.on_part) options.on_part(results);
}

Study::Study(StudyOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Study::~Study() = default;

const Results& Study::results() const {
  return impl_->results;
}

void Study::resume(Results earlier) {
  PLIMSOLL_CHECK(capsule_of(earlier, true) == capsule_of(impl_->results, true));
  impl_->earlier_seconds = earlier.run.seconds;
  impl_->results = std::move(earlier);
  impl_->results.run.complete = false;
  impl_->results.run.finished.reset();
  impl_->results.imported = impl_->options.imported;
}

void Study::run() {
  impl_->run();
}

void Study::add_adaptation(RawJson adaptation) {
  impl_->results.adaptation = std::move(adaptation);
  impl_->save();
}

void Study::finish() {
  impl_->results.run.complete = true;
  impl_->results.run.finished = utc_now();
  impl_->save();
}

}  // namespace plimsoll::study
