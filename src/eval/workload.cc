#include "eval/workload.h"

#include <algorithm>
#include <chrono>

#include "core/rng.h"
#include "engine/generate.h"
#include "engine/sampler.h"
#include "model/prefill.h"

namespace plimsoll {

namespace {

/// Each repeat goes back to the depth: what a window would have dropped by then must be kept.
kv::KvShape unwindowed(kv::KvShape shape) {
  shape.window = 0;
  return shape;
}

}  // namespace

std::string Workload::name() const {
  std::string name;
  if (prompt > 0) name += fmt::format("pp{}", prompt);
  if (generate > 0) name += fmt::format("{}tg{}", prompt > 0 ? "+" : "", generate);
  if (depth > 0) name += fmt::format(" @ d{}", depth);
  return name;
}

WorkloadRun::WorkloadRun(const Model& model, const ops::Context& context, const Workload& workload)
    : model_(&model),
      context_(context),
      workload_(workload),
      // A sequence's last block may be half empty.
      pool_(unwindowed(model.kv_shape(context.kv)),
            workload.batch * (workload.positions() + kv::kBlockTokens), context.device) {
  PLIMSOLL_CHECK(workload.batch > 0 && workload.tokens() > 0 && workload.depth >= 0);
  check_context(model.config(), workload.positions(), /*allow_long=*/true, workload.name());
  Rng rng(0);
  const auto ids =
      static_cast<std::size_t>(std::max({workload.prompt, workload.depth, std::int64_t{1}}));
  for (std::int64_t i = 0; i < workload.batch; ++i) {
    sequences_.emplace_back(pool_);
    std::vector<std::int32_t>& prompt = prompts_.emplace_back(ids);
    for (std::int32_t& id : prompt) {
      id = static_cast<std::int32_t>(
          rng.below(static_cast<std::uint64_t>(model.config().vocab_size)));
    }
    next_.push_back(prompt.front());
  }
  if (workload.depth > 0) read(workload.depth);
  if (context.device == nullptr || workload.generate == 0) return;
  decoder_ = std::make_unique<Decoder>(model, context, pointers(),
                                       workload.positions() + kv::kBlockTokens);
  generate(2);  // the graph is captured
  for (kv::Sequence& sequence : sequences_) sequence.truncate(workload.depth);
}

double WorkloadRun::seconds() {
  const auto start = std::chrono::steady_clock::now();
  if (workload_.prompt > 0) read(workload_.prompt);
  generate(workload_.generate);
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  for (kv::Sequence& sequence : sequences_) sequence.truncate(workload_.depth);
  return taken.count();
}

void WorkloadRun::generate(std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    if (decoder_) {
      next_ = decoder_->likeliest(next_, i + 1 < count);
    } else {
      Batch batch;
      for (std::size_t line = 0; line < sequences_.size(); ++line)
        batch.add(sequences_[line], {&next_[line], 1});
      choose(model_->forward(context_, batch));
    }
  }
}

void WorkloadRun::read(std::int64_t count) {
  std::vector<std::span<const std::int32_t>> ids;
  ids.reserve(prompts_.size());
  for (const std::vector<std::int32_t>& prompt : prompts_)
    ids.push_back(std::span(prompt).first(static_cast<std::size_t>(count)));
  choose(read_together(*model_, context_, pointers(), ids));
}

void WorkloadRun::choose(const Tensor& hidden) {
  const Tensor logits = model_->logits(context_, hidden).to_host();
  Sampler greedy{SamplingOptions{}};
  for (std::int64_t i = 0; i < logits.dim(0); ++i) {
    const std::span<const float> row = logits.rows(i, i + 1).span<float>();
    next_[static_cast<std::size_t>(i)] = greedy.sample(row, {});
  }
}

std::vector<kv::Sequence*> WorkloadRun::pointers() {
  std::vector<kv::Sequence*> pointers;
  pointers.reserve(sequences_.size());
  for (kv::Sequence& sequence : sequences_) pointers.push_back(&sequence);
  return pointers;
}

}  // namespace plimsoll
