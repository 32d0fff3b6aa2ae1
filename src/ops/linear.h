// The one place that switches on weight format.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/cpu.h"
#include "ops/context.h"
#include "quant/matrix.h"

namespace plimsoll::ops {

/// An addition of low rank (LoRA, arXiv:2106.09685): y += scale * B (A x).
struct LowRank {
  quant::Matrix a;  // fp32 [rank, in]
  quant::Matrix b;  // fp32 [out, rank]
  float scale = 1;
};

/// Weights as a GPU's kernels take them; what they are only ops::Device knows.
struct DeviceLinear;

/// A linear layer as a model holds it.
struct Linear {
  std::string name;      // the module's name in the checkpoint: "model.layers.0.mlp.up_proj"
  quant::Matrix weight;  // [out, in]
  Tensor bias;           // f32 [out]; undefined: none
  std::vector<LowRank> adapters = {};
  /// On a GPU (Device::pack): the weights with their adapters, while `weight` keeps format and
  /// extents alone. Layers that were packed as one share them.
  std::shared_ptr<const DeviceLinear> device = nullptr;
};

/// x [rows, in] f32 -> [rows, out] f32, both where the context runs. A context without a device and
/// an x on a GPU is training there: the adapters are then fp32 matrices beside the packed weights.
Tensor linear(const Context& context, const Tensor& x, const Linear& layer);

/// Rearranges a stored matrix for the kernels, where this CPU has any that want it; false where
/// not, and it stays as it is. Afterwards linear() and embedding() alone can read it: not for what
/// is encoded, saved or trained later.
bool pack(quant::Matrix& matrix);

/// The unit whose peak a product with such weights is judged by: fp32 for exact arithmetic and fp32
/// weights, bf16 for other dense weights and fp8, int8 for other quantised ones; fp32 where the
/// CPU, as limited by --isa, has no bf16 unit.
std::string_view unit_of(Compute compute, quant::WeightFormat weights);
/// The same where the context runs: on a GPU "fp16", of the tensor cores.
std::string_view unit_of(const Context& context, quant::WeightFormat weights);

/// A kernel that this CPU, as limited by --isa, could run, and why it refused.
struct Refusal {
  std::string_view kernel;
  Isa isa = Isa::scalar;
  std::string reason;
};

/// The kernel that linear() takes.
struct LinearChoice {
  std::string_view kernel;
  Isa isa = Isa::scalar;
  std::vector<Refusal> refused;  // those that would have been preferred, best first
};
LinearChoice choose_linear(const Context& context, const Linear& layer, std::int64_t rows);

}  // namespace plimsoll::ops
