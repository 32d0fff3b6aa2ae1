#include "engine/decoder.h"

#include <algorithm>

#include "core/trace.h"

namespace plimsoll {

Decoder::Decoder(const Model& model, const ops::Context& context,
                 std::vector<kv::Sequence*> sequences, std::int64_t longest)
    : model_(&model), context_(context), sequences_(std::move(sequences)) {
  PLIMSOLL_CHECK(context.device != nullptr && !sequences_.empty());
  const auto count = static_cast<std::int64_t>(sequences_.size());
  const auto on_device = [&](const Shape& shape) {
    return context.device->allocate(DType::i32, shape, "a decoding step");
  };
  rows_.ids = on_device({count});
  rows_.positions = on_device({count});
  rows_.tables = on_device({count, kv::blocks_for(longest)});
  rows_.pool = &sequences_.front()->pool();
  rows_.longest = longest;
  Tensor lines = Tensor::empty(DType::i32, {count});
  rows_.spans.reserve(sequences_.size());
  for (std::int64_t i = 0; i < count; ++i) {
    lines.data<std::int32_t>()[i] = static_cast<std::int32_t>(i);
    rows_.spans.emplace_back(i, 1);
  }
  rows_.lines = lines.to_device(*context.device, "a decoding step");
  batch_.resident = &rows_;
  tokens_ = context.device->tokens(count);
}

Decoder::~Decoder() = default;

void Decoder::send(std::span<const std::int32_t> ids) {
  PLIMSOLL_CHECK(ids.size() == sequences_.size());
  std::vector<std::int32_t> positions;
  positions.reserve(sequences_.size());
  for (const kv::Sequence* sequence : sequences_) {
    positions.push_back(static_cast<std::int32_t>(sequence->length()));
  }
  context_.device->upload(ids.data(), rows_.ids.raw(), ids.size_bytes());
  context_.device->upload(positions.data(), rows_.positions.raw(), rows_.positions.bytes());
}

void Decoder::send_tables() {
  const auto stride = static_cast<std::size_t>(rows_.tables.dim(1));
  std::vector<std::int32_t> tables(stride * sequences_.size());
  for (std::size_t i = 0; i < sequences_.size(); ++i) {
    const auto table = sequences_[i]->table();
    PLIMSOLL_CHECK(table.size() <= stride);
    std::ranges::copy(table, tables.begin() + static_cast<std::ptrdiff_t>(i * stride));
  }
  if (tables == tables_) return;
  context_.device->upload(tables.data(), rows_.tables.raw(), rows_.tables.bytes());
  tables_ = std::move(tables);
}

void Decoder::enqueue() {
  const Tensor hidden = model_->forward(context_, batch_);
  logits_ = model_->logits(context_, hidden);
  context_.device->choose(logits_, rows_, *tokens_);
}

void Decoder::step() {
  std::size_t extended = 0;
  try {
    for (; extended < sequences_.size(); ++extended) sequences_[extended]->extend(1);
  } catch (...) {
    while (extended-- > 0) sequences_[extended]->truncate(sequences_[extended]->length() - 1);
    throw;
  }
  send_tables();
  // A replay runs no operation that could be traced. What is captured must have been run before:
  // memory is prepared and code is loaded then.
  if (trace::recording() || !warm_) {
    enqueue();
    warm_ = true;
  } else {
    if (!graph_) {
      graph_ = context_.device->capture([&] { enqueue(); });
      replayed_logits_ = logits_;
    }
    graph_->launch();
    logits_ = replayed_logits_;
  }
  tokens_->enqueued();
}

Tensor Decoder::logits(std::span<const std::int32_t> ids) {
  stop();
  send(ids);
  step();
  tokens_->read();
  return logits_.to_host();
}

std::vector<std::int32_t> Decoder::likeliest(std::span<const std::int32_t> ids, bool more) {
  if (!begun_) {
    send(ids);
    step();
  }
  begun_ = false;
  if (more) {
    try {
      step();
    } catch (...) {
      tokens_->read();
      throw;
    }
    begun_ = true;
  }
  std::vector<std::int32_t> chosen = tokens_->read();
  if (std::ranges::find(chosen, -1) != chosen.end()) {
    stop();
    throw InputError("the model", "logits", "not finite",
                     "finite numbers: its weights are damaged");
  }
  return chosen;
}

void Decoder::stop() {
  if (!begun_) return;
  begun_ = false;
  tokens_->read();
  for (kv::Sequence* sequence : sequences_) sequence->truncate(sequence->length() - 1);
}

}  // namespace plimsoll
