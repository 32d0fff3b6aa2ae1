// How to compute: chosen once by whoever runs a model, read by every op.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "core/tensor.h"
#include "kernels/linear_args.h"
#include "kv/kv_view.h"

namespace plimsoll::ops {

using kernels::Compute;
using kernels::Numerics;

/// eager: the whole score matrix, through the dense library. flash: tiles with online softmax, in
/// memory linear in the text. sdpa: whichever suits the shape.
enum class Attention : std::uint8_t { eager, flash, sdpa };

class Device;
struct Linear;
/// Sees the input [rows, in] of every linear layer before it is multiplied: calibration.
using LinearObserver = std::function<void(const Linear& layer, const Tensor& x)>;

/// Is told which kernel an operation takes and why: one line, the same line again whenever the same
/// choice is made for the same reason.
using Explain = std::function<void(const std::string& line)>;

struct Context {
  /// The GPU that the model was moved to; nullptr: the CPU.
  Device* device = nullptr;
  Compute compute = Compute::exact;
  Attention attention = Attention::sdpa;
  Numerics numerics = Numerics::fast;
  /// Numerics::invariant wherever it costs nothing: plimsoll::settled() decides once the model is
  /// there; until then as `numerics` says.
  bool numerics_auto = false;
  /// What whoever runs a model makes its pools of.
  kv::KvFormat kv = kv::KvFormat::f32;
  /// Tokens of a prompt that go through the model together; 0: see plimsoll::prefill_chunk().
  std::int64_t prefill_chunk = 0;
  const LinearObserver* observer = nullptr;
  const Explain* explain = nullptr;
};

std::string_view compute_name(Compute compute);
std::string_view attention_name(Attention attention);
std::string_view numerics_name(Numerics numerics);
/// InputError naming the flag and the known names.
Compute compute_from_name(std::string_view name);
Attention attention_from_name(std::string_view name, std::string_view flag = "--attention");
Numerics numerics_from_name(std::string_view name);

/// Bytes that can still be had where the context runs.
std::uint64_t available_memory(const Context& context);
/// Most bytes that were held there at once: the process's on the CPU, on a GPU what its tensors
/// took.
std::uint64_t peak_memory(const Context& context);

/// The choices above by the names that results have for them: "device" ("cpu" or "cuda"),
/// "compute", "attention", "numerics", "kv".
std::map<std::string, std::string> settings_of(const Context& context);

}  // namespace plimsoll::ops
