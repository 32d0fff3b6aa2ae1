#include "engine/session.h"

#include <algorithm>
#include <chrono>

#include "model/prefill.h"

namespace plimsoll {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

Session::Session(const Model& model, const ops::Context& context, std::int64_t capacity)
    : model_(&model),
      context_(context),
      capacity_(capacity),
      pool_(pool_for(model, context, capacity)),
      sequence_(pool_) {}

std::size_t Session::reusable(std::span<const std::int32_t> ids) const {
  const auto parting = std::mismatch(ids_.begin(), ids_.end(), ids.begin(), ids.end());
  // The last one is read again even where all are known: its logits are wanted.
  const std::size_t known =
      std::min(static_cast<std::size_t>(parting.first - ids_.begin()), ids.size() - 1);
  // A sliding window may have dropped what the next token sees.
  return sequence_.can_truncate(static_cast<std::int64_t>(known)) ? known : 0;
}

void Session::forget_all_but(std::size_t count) {
  sequence_.truncate(static_cast<std::int64_t>(count));
  ids_.resize(count);
}

void Session::require_room(std::size_t tokens) const {
  if (static_cast<std::int64_t>(tokens) <= capacity_) return;
  throw InputError("the prompt", "length", fmt::format("{} tokens", tokens),
                   fmt::format("at most {}, the room of the session", capacity_));
}

Tensor Session::append(std::span<const std::int32_t> ids, const Progress& progress) {
  // A pass that failed may have left room behind what was read.
  if (decoder_) decoder_->stop();
  sequence_.truncate(static_cast<std::int64_t>(ids_.size()));
  Tensor logits;
  if (context_.device != nullptr && ids.size() == 1) {
    logits = decoder().logits(ids);
    ids_.push_back(ids.front());
    return logits;
  }
  forward_in_chunks(
      *model_, context_, sequence_, ids,
      [&](std::int64_t first, const Tensor& hidden) {
        const auto done = static_cast<std::size_t>(first + hidden.dim(0));
        ids_.insert(ids_.end(), ids.begin() + first,
                    ids.begin() + static_cast<std::ptrdiff_t>(done));
        if (done < ids.size()) return;
        logits = model_->logits(context_, hidden.rows(hidden.dim(0) - 1, hidden.dim(0))).to_host();
      },
      nullptr, progress);
  return logits;
}

Decoder& Session::decoder() {
  if (!decoder_) {
    decoder_ = std::make_unique<Decoder>(*model_, context_, std::vector{&sequence_}, capacity_);
  }
  return *decoder_;
}

std::int32_t Session::likeliest(std::int32_t id, bool more) {
  const std::int32_t next = decoder().likeliest({&id, 1}, more).front();
  ids_.push_back(id);
  return next;
}

Tensor Session::read(std::span<const std::int32_t> ids, const Progress& progress) {
  PLIMSOLL_CHECK(!ids.empty());
  require_room(ids.size());
  const std::size_t known = reusable(ids);
  forget_all_but(known);
  return append(ids.subspan(known), progress);
}

Generation Session::generate(std::span<const std::int32_t> prompt, const GenerateOptions& options,
                             const OnToken& on_token) {
  const ModelConfig& config = model_->config();
  check_prompt(config, prompt, options.allow_long);
  require_room(prompt.size());
  const auto prompt_tokens = static_cast<std::int64_t>(prompt.size());
  const std::int64_t positions = std::min(position_limit(config, options.allow_long), capacity_);
  // The last token chosen is never fed back: it needs no position.
  const std::int64_t limit = std::min(options.max_new_tokens, positions - prompt_tokens + 1);

  Generation result;
  result.prompt_tokens = prompt_tokens;
  result.known_tokens = static_cast<std::int64_t>(reusable(prompt));
  result.stop = options.max_new_tokens > limit ? StopReason::context_full : StopReason::length;
  Sampler sampler(options.sampling);
  // Else logits come to the host for each token.
  const bool chosen_there = context_.device != nullptr && options.sampling.is_greedy();
  std::vector<std::int32_t> history(prompt.begin(), prompt.end());
  for (std::int64_t count = 0; count < limit; ++count) {
    const auto start = Clock::now();
    std::int32_t id = 0;
    if (count > 0 && chosen_there) {
      id = likeliest(history.back(), count + 1 < limit);
    } else {
      Tensor logits;
      try {
        logits =
            count == 0 ? read(prompt, options.progress) : append(std::span(history).last(1), {});
      } catch (const Interrupted&) {
        result.stop = StopReason::caller;
        break;
      }
      id = sampler.sample(logits.span<float>(), history);
    }
    (count == 0 ? result.prompt_seconds : result.token_seconds.emplace_back()) =
        seconds_since(start);
    const bool ends = std::ranges::find(config.eos_ids, id) != config.eos_ids.end();
    if (ends && !options.ignore_eos) {
      result.stop = StopReason::end_of_sequence;
      break;
    }
    result.ids.push_back(id);
    history.push_back(id);
    if (on_token && !on_token(id)) {
      result.stop = StopReason::caller;
      break;
    }
  }
  if (decoder_) decoder_->stop();
  return result;
}

}  // namespace plimsoll
