// Weights on a GPU: packed for gemv, several matrices as one where a model multiplies them with the
// same input.
#include <algorithm>

#include "core/error.h"
#include "ops/cuda/device_cuda.h"

namespace plimsoll::ops {

namespace {

namespace gemv = kernels::gemv;

gemv::Order order_of(std::span<Linear* const> layers, Joined joined) {
  gemv::Order order;
  order.pairing = joined == Joined::halves ? gemv::Pairing::halves : gemv::Pairing::none;
  for (const Linear* layer : layers) order.rows += layer->weight.rows;
  return order;
}

std::vector<const quant::Matrix*> matrices_of(std::span<Linear* const> layers) {
  std::vector<const quant::Matrix*> matrices;
  matrices.reserve(layers.size());
  for (const Linear* layer : layers) matrices.push_back(&layer->weight);
  return matrices;
}

Support supported(std::span<Linear* const> layers, const gemv::Order& order) {
  for (const Linear* layer : layers) {
    if (!layer->adapters.empty())
      return Support::no("LoRA beside a GPU's weights (merge it first)");
    if (layer->weight.outliers_by_batch) return Support::no("--outlier-scope batch");
    if (layer->weight.columns > gemv::kMaxColumns) {
      return Support::no(fmt::format("{} columns, up to {} are possible", layer->weight.columns,
                                     gemv::kMaxColumns));
    }
  }
  return gemv::can_pack(matrices_of(layers), order);
}

/// The layers' biases one behind the other; undefined where none has one.
Tensor bias_of(std::span<Linear* const> layers, std::int64_t rows) {
  if (std::ranges::none_of(layers, [](const Linear* layer) { return layer->bias.defined(); })) {
    return {};
  }
  Tensor bias = Tensor::zeros(DType::f32, {rows});
  float* next = bias.data<float>();
  for (const Linear* layer : layers) {
    if (layer->bias.defined()) std::ranges::copy(layer->bias.span<float>(), next);
    next += layer->weight.rows;
  }
  return bias;
}

}  // namespace

void CudaDevice::pack(std::span<Linear* const> layers, Joined joined) {
  gemv::Order order = order_of(layers, joined);
  if (layers.size() > 1 && !supported(layers, order)) {
    for (std::size_t i = 0; i < layers.size(); ++i) pack(layers.subspan(i, 1), Joined::rows);
    return;
  }
  if (layers.size() == 1) order.pairing = gemv::Pairing::none;
  const std::string& name = layers.front()->name;
  if (const Support support = supported(layers, order); !support) {
    throw InputError(name, "weights on a GPU", support.reason,
                     "the CPU, which has a kernel for it");
  }
  auto linear = std::make_shared<DeviceLinear>();
  linear->format = layers.front()->weight.format;
  linear->rows = order.rows;
  linear->columns = layers.front()->weight.columns;
  for (const Linear* layer : layers) linear->bytes += quant::matrix_bytes(layer->weight);
  linear->weights = gemv::UploadedWeights(gemv::pack(matrices_of(layers), order), name);
  if (const Tensor bias = bias_of(layers, order.rows); bias.defined()) {
    linear->bias = bias.to_device(*this, name);
  }
  // What was copied from memory that is not pinned may still be on its way.
  PLIMSOLL_CUDA_CHECK(cudaDeviceSynchronize());
  for (Linear* layer : layers) layer->device = linear;
}

std::shared_ptr<const DeviceLinear> CudaDevice::twin(const DeviceLinear& linear) {
  auto other = std::make_shared<DeviceLinear>();
  other->weights = linear.weights.clone("the weights");
  other->bias = linear.bias;
  other->format = linear.format;
  other->rows = linear.rows;
  other->columns = linear.columns;
  other->bytes = linear.bytes;
  PLIMSOLL_CUDA_CHECK(cudaDeviceSynchronize());
  return other;
}

}  // namespace plimsoll::ops
