#include "model/prefill.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/cache.h"
#include "core/device_memory.h"
#include "ops/device.h"

namespace plimsoll {

namespace {

/// Rows of `part` into rows [first, ...) of `whole`, on the host.
void place(const Tensor& part, std::int64_t first, Tensor& whole) {
  float* target = whole.data<float>() + first * whole.dim(1);
  if (part.device() != nullptr) return part.device()->download(part.raw(), target, part.bytes());
  std::memcpy(target, part.raw(), part.bytes());
}

/// A row of `from` into a row of `to`, in the memory that both lie in.
void copy_row(const Tensor& from, std::int64_t row, Tensor& to, std::int64_t to_row) {
  const std::size_t bytes = static_cast<std::size_t>(from.dim(1)) * sizeof(float);
  const std::byte* source = from.raw() + static_cast<std::size_t>(row) * bytes;
  std::byte* target = to.raw() + static_cast<std::size_t>(to_row) * bytes;
  if (to.device() != nullptr) return to.device()->copy(source, target, bytes);
  std::memcpy(target, source, bytes);
}

/// Tokens from which on a GPU's dense products gain little by more.
constexpr std::int64_t kDeviceChunk = 2048;

/// What each chunk's attention will need, before work on those that come first.
void require_attention_memory(const Model& model, const ops::Context& context, std::int64_t held,
                              std::int64_t count, std::int64_t chunk) {
  const kv::KvShape shape = model.kv_shape(context.kv);
  kernels::AttentionArgs args;
  args.heads = model.config().heads;
  args.kv.layout = shape.layout();
  args.window = shape.window;
  args.compute = context.compute;
  for (std::int64_t first = 0; first < count; first += chunk) {
    args.q_len = std::min(chunk, count - first);
    args.kv.length = held + first + args.q_len;
    ops::require_attention_memory(context, args);
  }
}

}  // namespace

std::int64_t activation_bytes(const ModelConfig& config) {
  return static_cast<std::int64_t>(sizeof(float)) *
         (3 * config.hidden_size + 2 * config.intermediate_size +
          2 * (config.heads + config.kv_heads) * config.head_dim);
}

std::int64_t prefill_chunk(const ModelConfig& config, const ops::Context& context) {
  if (context.prefill_chunk > 0) return context.prefill_chunk;
  if (context.device != nullptr) return kDeviceChunk;
  const std::int64_t rows = last_level_cache_bytes() / activation_bytes(config);
  return std::clamp<std::int64_t>(
      static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(rows))), 128, 1024);
}

kv::BlockPool pool_for(const Model& model, const ops::Context& context, std::int64_t tokens) {
  const kv::KvShape shape = model.kv_shape(context.kv);
  return {shape, shape.tokens_held(tokens, prefill_chunk(model.config(), context)), context.device};
}

void forward_in_chunks(const Model& model, const ops::Context& context, kv::Sequence& sequence,
                       std::span<const std::int32_t> ids,
                       const std::function<void(std::int64_t first, const Tensor& last)>& on_chunk,
                       std::vector<Tensor>* hidden, const Progress& progress) {
  const auto count = static_cast<std::int64_t>(ids.size());
  const std::int64_t chunk = prefill_chunk(model.config(), context);
  if (count > chunk && context.device == nullptr)
    require_attention_memory(model, context, sequence.length(), count, chunk);
  for (std::int64_t first = 0; first < count; first += chunk) {
    const std::int64_t rows = std::min(chunk, count - first);
    Batch batch;
    batch.add(sequence,
              ids.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(rows)));
    if (hidden != nullptr) hidden->clear();
    on_chunk(first, model.forward(context, batch, hidden));
    if (first + rows < count) report(progress, "reading tokens", first + rows, count);
  }
}

Tensor read_together(const Model& model, const ops::Context& context,
                     std::span<kv::Sequence* const> sequences,
                     std::span<const std::span<const std::int32_t>> ids) {
  PLIMSOLL_CHECK(sequences.size() == ids.size() && !sequences.empty());
  const auto count = static_cast<std::int64_t>(sequences.size());
  const Shape shape{count, model.config().hidden_size};
  Tensor last = context.device != nullptr
                    ? context.device->allocate(DType::f32, shape, "the prompts' last tokens")
                    : Tensor::empty(DType::f32, shape);
  const std::int64_t chunk = prefill_chunk(model.config(), context);
  std::int64_t line = 0;  // the sequence that is being read
  std::size_t read = 0;   // of its ids
  while (line < count) {
    Batch batch;
    const std::int64_t first_line = line;
    // The row of a line's last id, for the lines that end in this pass.
    std::vector<std::int64_t> ends;
    while (line < count && batch.rows() < chunk) {
      const auto index = static_cast<std::size_t>(line);
      PLIMSOLL_CHECK(!ids[index].empty());
      const auto room = static_cast<std::size_t>(chunk - batch.rows());
      const auto some = ids[index].subspan(read, std::min(room, ids[index].size() - read));
      batch.add(*sequences[index], some);
      read += some.size();
      if (read < ids[index].size()) break;
      ends.push_back(batch.rows() - 1);
      read = 0;
      ++line;
    }
    const Tensor hidden = model.forward(context, batch);
    for (std::size_t i = 0; i < ends.size(); ++i)
      copy_row(hidden, ends[i], last, first_line + static_cast<std::int64_t>(i));
  }
  return last;
}

Tensor hidden_states(const Model& model, const ops::Context& context, kv::Sequence& sequence,
                     std::span<const std::int32_t> ids, std::vector<Tensor>* hidden,
                     const Progress& progress) {
  const auto count = static_cast<std::int64_t>(ids.size());
  Tensor all;
  std::vector<Tensor> chunk_hidden, all_hidden;
  forward_in_chunks(
      model, context, sequence, ids,
      [&](std::int64_t first, const Tensor& last) {
        if (first == 0) {
          all = Tensor::empty(DType::f32, {count, last.dim(1)});
          for (std::size_t i = 0; i < chunk_hidden.size(); ++i)
            all_hidden.push_back(Tensor::empty(DType::f32, {count, last.dim(1)}));
        }
        place(last, first, all);
        for (std::size_t i = 0; i < chunk_hidden.size(); ++i)
          place(chunk_hidden[i], first, all_hidden[i]);
      },
      hidden == nullptr ? nullptr : &chunk_hidden, progress);
  if (hidden != nullptr) *hidden = std::move(all_hidden);
  return all;
}

}  // namespace plimsoll
