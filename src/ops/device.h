// A GPU that models run on: its memory, what a step of a model is made of there, and graphs of
// whole steps. ops/layer.cc is where operations choose between it and the CPU.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/device_memory.h"
#include "kv/block_pool.h"
#include "ops/attention.h"
#include "ops/context.h"
#include "ops/linear.h"

namespace plimsoll::ops {

/// Of x's rows, before a product. With a bias LayerNorm, without RMSNorm.
struct Norm {
  const Tensor& weight;
  const Tensor* bias = nullptr;
  float epsilon = 0;
};

/// Query heads, key-value heads and the elements of one.
struct Heads {
  std::int64_t query = 0;
  std::int64_t kv = 0;
  std::int64_t dim = 0;
};

/// The new tokens of a step as a GPU's kernels see them, in its memory: all that changes from step
/// to step, so that one captured graph serves all.
struct DeviceRows {
  Tensor ids;        // i32 [rows]
  Tensor positions;  // i32 [rows]
  Tensor lines;      // i32 [rows]: each row's line of `tables`
  Tensor tables;     // i32 [sequences, blocks]: see kv::DeviceKv
  kv::BlockPool* pool = nullptr;
  /// Begin and count of each sequence's rows.
  std::vector<std::pair<std::int64_t, std::int64_t>> spans;
  std::int64_t longest = 0;  // most tokens that a sequence has, these rows included
};

/// How matrices that are multiplied with the same input lie as one: rows under rows, or each row of
/// the first half beside its like of the second (gate and up, for SwiGLU).
enum class Joined : std::uint8_t { rows, halves };

/// A product of a pass over many tokens: weights [rows, columns], gate and up as one where paired.
struct ProductSize {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  bool paired = false;
};

/// Work that is replayed as one.
class DeviceGraph {
 public:
  virtual ~DeviceGraph() = default;
  virtual void launch() = 0;
};

/// What steps choose, for a host that reads it late: at most kAhead steps are not read yet.
class DeviceTokens {
 public:
  static constexpr int kAhead = 4;
  virtual ~DeviceTokens() = default;
  /// After each step was enqueued, captured or not.
  virtual void enqueued() = 0;
  /// The tokens of the first step that was not read yet; waits for it.
  virtual std::vector<std::int32_t> read() = 0;
};

class TrainingDevice;

/// Everything is enqueued in order and waited for only where it is said. Tensors that operations
/// return lie in memory that is used again once they are gone.
class Device : public DeviceMemory {
 public:
  /// "NVIDIA H200"
  virtual std::string name() const = 0;
  /// "cuda"
  virtual std::string_view kind() const = 0;
  /// Until all that was enqueued is done, and all that was packed has arrived.
  virtual void synchronize() = 0;
  /// Most bytes held at once since reset_peak().
  virtual std::int64_t peak_bytes() const = 0;
  virtual std::int64_t held_bytes() const = 0;
  virtual std::int64_t total_bytes() const = 0;
  virtual std::int64_t free_bytes() const = 0;
  virtual void reset_peak() = 0;
  /// Bytes read and written a second by a copy, and operations a second of the vendor's dense
  /// product in 16 bits, in 1e9: ceilings, measured now.
  virtual double copy_gbps() = 0;
  virtual double dense_gops() = 0;
  /// Where the driver finds it: "0000:19:00.0".
  virtual std::string pci_bus_id() const = 0;
  /// Bytes that passes over `tokens` tokens take beside weights, cache and activations: what
  /// products, in their order, and attention work in.
  virtual std::int64_t scratch_bytes(std::span<const ProductSize> products, const Heads& heads,
                                     std::int64_t tokens) const = 0;
  /// Gives unused memory of activations back to the driver.
  virtual void trim() = 0;
  /// What an InputError about memory ends with: advice(bytes that are lacking), in words.
  virtual void advise_memory(std::function<std::string(std::uint64_t lacking)> advice) = 0;

  /// Packs the layers' matrices, biases and adapters for the kernels, as one where they allow it.
  /// The host's can go then. Weights may be on their way until synchronize(), which throws what
  /// went wrong. InputError naming the layer where the GPU has no kernel for it, or not
  /// the memory.
  virtual void pack(std::span<Linear* const> layers, Joined joined) = 0;
  /// Gives the layers, which were packed as one, a copy of the weights of others like them, made on
  /// the GPU. Their adapters are their own.
  virtual void twin(const DeviceLinear& like, std::span<Linear* const> layers) = 0;

  /// Whether embedding() can take rows of this layer, which was packed alone.
  virtual bool embeds(const Linear& layer) const = 0;
  /// f32 [rows, width]: rows of `table`, where its codes are empty of `tied`, to which those of
  /// `positions` are added (nullptr: none).
  virtual Tensor embedding(const DeviceRows& rows, const quant::Matrix& table, const Linear* tied,
                           const quant::Matrix* positions) = 0;
  virtual Tensor norm(const Tensor& x, const Norm& norm) = 0;
  // Of the context these take attention and numerics.
  /// norm(x) times the layers, side by side: [rows, sum of out]. `norm` nullptr: x as it is.
  virtual Tensor products(const Context& context, const Tensor& x, const Norm* norm,
                          std::span<const Linear* const> layers) = 0;
  /// silu(norm(x) gate) * (norm(x) up)
  virtual Tensor swiglu(const Context& context, const Tensor& x, const Norm& norm,
                        const Linear& gate, const Linear& up) = 0;
  virtual Tensor gelu(const Context& context, const Tensor& x, const Norm& norm,
                      const Linear& layer, bool tanh_form) = 0;
  /// y += x times the layer
  virtual void add_product(const Context& context, const Tensor& x, const Linear& layer,
                           Tensor& y) = 0;
  /// Rotates q and k (frequencies nullptr: not), appends k and v to the cache, and attends: qkv
  /// [rows, (query + 2 kv) dim] -> [rows, query dim].
  virtual Tensor attention(const Context& context, const DeviceRows& rows, std::int64_t layer,
                           Tensor& qkv, const Heads& heads, const Tensor* frequencies,
                           const AttentionSettings& settings) = 0;
  virtual std::unique_ptr<DeviceTokens> tokens(std::int64_t rows) = 0;
  /// The likeliest id of each row of logits [rows, vocab] into rows.ids and `tokens`, -1 where one
  /// is not finite; and positions one further.
  virtual void choose(const Tensor& logits, const DeviceRows& rows, DeviceTokens& tokens) = 0;

  /// InputError where the GPU is too old for its kernels.
  virtual TrainingDevice& training() = 0;

  /// What enqueue() enqueues, captured and not run. Its tensors' memory is the graph's own.
  virtual std::unique_ptr<DeviceGraph> capture(const std::function<void()>& enqueue) = 0;
};

/// The GPU that "cuda" or "cuda:N" names; lives as long as the program. InputError saying why there
/// is none: not built with CUDA, no driver, no GPU, no such number, or no kernels for it.
Device& open_device(std::string_view name);

}  // namespace plimsoll::ops
