#include "ops/layer.h"

#include <algorithm>
#include <vector>

#include "core/trace.h"

namespace plimsoll::ops {

namespace {

std::int64_t blocks_of(const SequenceRows& rows) {
  return static_cast<std::int64_t>(rows.sequence->table().size());
}

}  // namespace

Rows rows_of(const Context& context, std::span<const std::int32_t> ids,
             std::span<const std::int64_t> positions, std::span<const SequenceRows> sequences) {
  Rows rows{ids, positions, sequences, {}};
  if (context.device == nullptr || ids.empty()) return rows;
  const auto count = static_cast<std::int64_t>(ids.size());
  std::int64_t blocks = 1;
  for (const SequenceRows& each : sequences) blocks = std::max(blocks, blocks_of(each));
  // One copy takes all: each part begins where a kernel may want it aligned.
  constexpr std::int64_t kAligned = 64;
  const std::int64_t part = (count + kAligned - 1) / kAligned * kAligned;
  const auto lines = static_cast<std::int64_t>(sequences.size());
  Tensor all = Tensor::zeros(DType::i32, {3 * part + lines * blocks});
  auto* const values = all.data<std::int32_t>();
  std::ranges::copy(ids, values);
  std::ranges::transform(positions, values + part,
                         [](std::int64_t position) { return static_cast<std::int32_t>(position); });
  rows.device.spans.reserve(sequences.size());
  for (std::int64_t line = 0; line < lines; ++line) {
    const SequenceRows& each = sequences[static_cast<std::size_t>(line)];
    PLIMSOLL_CHECK(&each.sequence->pool() == &sequences[0].sequence->pool());
    std::fill_n(values + 2 * part + each.begin, each.count, static_cast<std::int32_t>(line));
    std::ranges::copy(each.sequence->table(), values + 3 * part + line * blocks);
    rows.device.spans.emplace_back(each.begin, each.count);
    rows.device.longest = std::max(rows.device.longest, each.sequence->length());
  }
  const Tensor there = all.to_device(*context.device, "a step's rows");
  rows.device.ids = there.rows(0, count);
  rows.device.positions = there.rows(part, part + count);
  rows.device.lines = there.rows(2 * part, 2 * part + count);
  rows.device.tables = there.rows(3 * part, there.size()).reshaped({lines, blocks});
  rows.device.pool = &sequences[0].sequence->pool();
  return rows;
}

Rotation rotation(const Context& context, const Rows& rows, const Tensor& frequencies) {
  if (context.device != nullptr) return {{}, &frequencies};
  return {rope_table(rows.positions, frequencies.span<float>()), &frequencies};
}

Tensor embedding(const Context& context, const Rows& rows, const quant::Matrix& table,
                 const Linear* tied, const quant::Matrix* positions) {
  if (context.device != nullptr)
    return context.device->embedding(rows.device, table, tied, positions);
  Tensor x = embedding(table, rows.ids);
  if (positions != nullptr) {
    const trace::Part part("embedding");
    add(x, embedding(*positions,
                     std::vector<std::int32_t>(rows.positions.begin(), rows.positions.end())));
  }
  return x;
}

Tensor norm(const Context& context, const Tensor& x, const Norm& norm) {
  if (context.device != nullptr) return context.device->norm(x, norm);
  return norm.bias != nullptr ? layer_norm(x, norm.weight, *norm.bias, norm.epsilon)
                              : rms_norm(x, norm.weight, norm.epsilon);
}

Qkv norm_qkv(const Context& context, const Tensor& x, const Norm& norm,
             std::initializer_list<const Linear*> layers, const Heads& heads) {
  if (context.device != nullptr)
    return {context.device->products(context, x, &norm, layers), {}, {}};
  const Tensor n = ops::norm(context, x, norm);
  const Linear* const* layer = layers.begin();
  if (layers.size() == 3) {
    Tensor q = linear(context, n, *layer[0]);
    Tensor k = linear(context, n, *layer[1]);
    return {std::move(q), std::move(k), linear(context, n, *layer[2])};
  }
  PLIMSOLL_CHECK(layers.size() == 1);
  const Tensor all = linear(context, n, **layer);
  const std::int64_t q_width = heads.query * heads.dim;
  const std::int64_t kv_width = heads.kv * heads.dim;
  return {columns(all, 0, q_width), columns(all, q_width, kv_width),
          columns(all, q_width + kv_width, kv_width)};
}

Tensor attend(const Context& context, const Rows& rows, std::int64_t layer, Qkv& qkv,
              const Heads& heads, const Rotation* rotation, const AttentionSettings& settings) {
  if (context.device != nullptr) {
    return context.device->attention(context, rows.device, layer, qkv.q, heads,
                                     rotation != nullptr ? rotation->frequencies : nullptr,
                                     settings);
  }
  if (rotation != nullptr) {
    rope(qkv.q, heads.dim, rotation->table);
    rope(qkv.k, heads.dim, rotation->table);
  }
  append_kv(rows.sequences, layer, qkv.k, qkv.v);
  return attention(context, rows.sequences, layer, qkv.q, settings);
}

Tensor norm_swiglu(const Context& context, const Tensor& x, const Norm& norm, const Linear& gate,
                   const Linear& up) {
  if (context.device != nullptr) return context.device->swiglu(context, x, norm, gate, up);
  const Tensor n = ops::norm(context, x, norm);
  Tensor inner = linear(context, n, gate);
  swiglu(inner, linear(context, n, up));
  return inner;
}

Tensor norm_gelu(const Context& context, const Tensor& x, const Norm& norm, const Linear& layer,
                 bool tanh_form) {
  if (context.device != nullptr) return context.device->gelu(context, x, norm, layer, tanh_form);
  Tensor inner = linear(context, ops::norm(context, x, norm), layer);
  gelu(inner, tanh_form);
  return inner;
}

void linear_add(const Context& context, const Tensor& x, const Linear& layer, Tensor& y) {
  if (context.device != nullptr) return context.device->add_product(context, x, layer, y);
  add(y, linear(context, x, layer));
}

Mover::~Mover() {
  if (finished_) return;
  try {
    device_.synchronize();
  } catch (...) {  // what ended the move is thrown already
  }
}

void Mover::finish() {
  finished_ = true;
  device_.synchronize();
}

void Mover::operator()(std::initializer_list<Linear*> layers, Joined joined) {
  std::vector<const void*> key;
  key.reserve(layers.size());
  for (const Linear* layer : layers) key.push_back(layer->weight.codes.raw());
  const auto same = packed_.find(key);
  if (same == packed_.end()) {
    device_.pack(std::span(layers.begin(), layers.size()), joined);
  } else {
    copy(same->second, std::span(layers.begin(), layers.size()));
  }
  if (same == packed_.end()) {
    std::vector<Linear>& kept = packed_[key];  // its host's memory, so that no other gets it
    kept.reserve(layers.size());
    for (const Linear* layer : layers) kept.push_back(*layer);
  }
  for (Linear* layer : layers) {
    quant::Matrix extents;
    extents.format = layer->weight.format;
    extents.rows = layer->weight.rows;
    extents.columns = layer->weight.columns;
    layer->weight = std::move(extents);
    layer->bias = {};
    layer->adapters.clear();
  }
}

void Mover::copy(std::span<const Linear> from, std::span<Linear* const> to) {
  for (std::size_t begin = 0; begin < to.size();) {
    std::size_t end = begin + 1;
    while (end < to.size() && from[end].device == from[begin].device) ++end;
    device_.twin(*from[begin].device, to.subspan(begin, end - begin));
    begin = end;
  }
}

void Mover::operator()(Tensor& vector, std::string_view name) {
  if (vector.defined()) vector = vector.to_device(device_, name);
}

void Mover::operator()(quant::Matrix& table, std::string_view name, const Linear* tied) {
  const bool held = tied != nullptr && device_.embeds(*tied);
  table.codes = held ? Tensor{} : table.codes.to_device(device_, name);
}

}  // namespace plimsoll::ops
