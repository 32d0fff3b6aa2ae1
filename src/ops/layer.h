// What the layers of a model are made of, on whichever device the context says. On the CPU each is
// some operations in a row; a GPU has a kernel for as much of each as it can.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <span>
#include <string_view>
#include <vector>

#include "ops/device.h"
#include "ops/elementwise.h"

namespace plimsoll::ops {

/// The new tokens of a step. `device` is filled where the context has a GPU.
struct Rows {
  std::span<const std::int32_t> ids;
  std::span<const std::int64_t> positions;
  std::span<const SequenceRows> sequences;
  DeviceRows device;
};

/// On a GPU, copies them there. The sequences must be of one pool.
Rows rows_of(const Context& context, std::span<const std::int32_t> ids,
             std::span<const std::int64_t> positions, std::span<const SequenceRows> sequences);

/// Rotary positions of a step, computed once. The frequencies, one a pair of a head's elements, lie
/// where the model does and must outlive it.
struct Rotation {
  RopeTable table;  // on the CPU
  const Tensor* frequencies = nullptr;
};
Rotation rotation(const Context& context, const Rows& rows, const Tensor& frequencies);

/// Rows of the token table, to which learned positions are added where there are any. `tied`: the
/// head whose weights are the table, nullptr: there is none.
Tensor embedding(const Context& context, const Rows& rows, const quant::Matrix& table,
                 const Linear* tied, const quant::Matrix* positions = nullptr);

Tensor norm(const Context& context, const Tensor& x, const Norm& norm);

/// Queries, keys and values of a step's rows. On a GPU all lie in `q` side by side.
struct Qkv {
  Tensor q, k, v;
};
/// norm(x) times q, k and v's layers, or times the one layer that holds them one over the other.
Qkv norm_qkv(const Context& context, const Tensor& x, const Norm& norm,
             std::initializer_list<const Linear*> layers, const Heads& heads);

/// Rotates queries and keys (`rotation` nullptr: not), appends keys and values to the caches, and
/// attends: [rows, heads.query * heads.dim].
Tensor attend(const Context& context, const Rows& rows, std::int64_t layer, Qkv& qkv,
              const Heads& heads, const Rotation* rotation, const AttentionSettings& settings);

/// silu(norm(x) gate) * (norm(x) up)
Tensor norm_swiglu(const Context& context, const Tensor& x, const Norm& norm, const Linear& gate,
                   const Linear& up);
/// gelu(norm(x) layer)
Tensor norm_gelu(const Context& context, const Tensor& x, const Norm& norm, const Linear& layer,
                 bool tanh_form);
/// y += x times the layer
void linear_add(const Context& context, const Tensor& x, const Linear& layer, Tensor& y);

/// Moves a model's weights to a GPU, in place. InputError where it has not the memory.
class Mover {
 public:
  explicit Mover(Device& device) : device_(device) {}
  /// Nothing is under way after it, whatever ended the move.
  ~Mover();
  Mover(const Mover&) = delete;
  Mover& operator=(const Mover&) = delete;
  /// Layers that are multiplied with the same input together. Where some share their storage with
  /// others that were moved before (random weights), the GPU copies those.
  void operator()(std::initializer_list<Linear*> layers, Joined joined = Joined::rows);
  void operator()(Tensor& vector, std::string_view name);
  /// A table of embeddings. Where `tied` has its rows on the GPU already, which can read them
  /// there, the table keeps its extents alone.
  void operator()(quant::Matrix& table, std::string_view name, const Linear* tied = nullptr);
  /// Waits until all has arrived: to be called at the end.
  void finish();

 private:
  void copy(std::span<const Linear> from, std::span<Linear* const> to);

  Device& device_;
  std::map<std::vector<const void*>, std::vector<Linear>> packed_;  // by the codes' addresses
  bool finished_ = false;
};

}  // namespace plimsoll::ops
