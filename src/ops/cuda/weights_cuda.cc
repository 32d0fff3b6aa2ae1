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

std::int64_t rounded_up(std::int64_t ranks) {
  constexpr std::int64_t kGrain = kernels::low_rank::kRankGrain;
  return (ranks + kGrain - 1) / kGrain * kGrain;
}

/// The adapters of layers that lie as one: all A under each other, and each B, times its scale, in
/// the rows of its layer and the columns of its A. nullptr where there are none.
std::shared_ptr<const DeviceAdapters> adapters_of(std::span<Linear* const> layers) {
  PLIMSOLL_CHECK(layers.size() <= kernels::low_rank::kMaxParts);
  auto adapters = std::make_shared<DeviceAdapters>();
  std::int64_t outputs = 0;
  for (const Linear* layer : layers) {
    std::int64_t ranks = 0;
    for (const LowRank& adapter : layer->adapters) ranks += adapter.a.rows;
    const auto begin = static_cast<int>(adapters->ranks);
    adapters->ranks += rounded_up(ranks);
    adapters->parts.push_back({static_cast<int>(outputs),
                               static_cast<int>(outputs + layer->weight.rows), begin,
                               static_cast<int>(adapters->ranks)});
    outputs += layer->weight.rows;
  }
  if (adapters->ranks == 0) return nullptr;
  const Linear& first = *layers.front();
  const std::int64_t columns = first.weight.columns;
  if (adapters->ranks > kernels::low_rank::kMaxRanks || columns % 4 != 0) {
    throw InputError(first.name, "adapters on a GPU",
                     fmt::format("{} ranks, {} columns", adapters->ranks, columns),
                     fmt::format("up to {} ranks together and columns in fours, or a merged one",
                                 kernels::low_rank::kMaxRanks));
  }
  Tensor a = Tensor::zeros(DType::f32, {adapters->ranks, columns});
  Tensor b = Tensor::zeros(DType::f32, {outputs, adapters->ranks});
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const kernels::low_rank::Part& part = adapters->parts[i];
    std::int64_t rank = part.rank_begin;
    for (const LowRank& adapter : layers[i]->adapters) {
      std::ranges::copy(adapter.a.codes.span<float>(), a.data<float>() + rank * columns);
      const float* from = adapter.b.codes.data<float>();
      for (std::int64_t row = part.begin; row < part.end; ++row) {
        float* const to = b.data<float>() + row * adapters->ranks + rank;
        for (std::int64_t r = 0; r < adapter.a.rows; ++r) to[r] = adapter.scale * *from++;
      }
      rank += adapter.a.rows;
    }
  }
  adapters->a = cuda::Buffer::of<float>(a.span<float>(), first.name);
  adapters->b = cuda::Buffer::of<float>(b.span<float>(), first.name);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const kernels::low_rank::Part& part = adapters->parts[i];
    adapters->bytes += (part.rank_end - part.rank_begin) * (columns + layers[i]->weight.rows) *
                       static_cast<std::int64_t>(sizeof(float));
  }
  return adapters;
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
  const auto packed = std::make_shared<const gemv::Packed>(gemv::pack(matrices_of(layers), order));
  uploader_.start([this, linear, packed, name] {
    PLIMSOLL_CUDA_CHECK(cudaSetDevice(facts_.index));
    linear->weights = gemv::UploadedWeights(*packed, name);
    // What was copied from memory that is not pinned may still be on its way.
    PLIMSOLL_CUDA_CHECK(cudaDeviceSynchronize());
  });
  if (const Tensor bias = bias_of(layers, order.rows); bias.defined()) {
    linear->bias = bias.to_device(*this, name);
  }
  linear->adapters = adapters_of(layers);
  adapted_ |= linear->adapters != nullptr;
  for (Linear* layer : layers) layer->device = linear;
}

void CudaDevice::synchronize() {
  uploader_.wait();
  stream_.synchronize();
}

void CudaDevice::twin(const DeviceLinear& like, std::span<Linear* const> layers) {
  uploader_.wait();
  auto other = std::make_shared<DeviceLinear>();
  other->weights = like.weights.clone("the weights");
  other->bias = like.bias;
  other->format = like.format;
  other->rows = like.rows;
  other->columns = like.columns;
  other->bytes = like.bytes;
  other->adapters = adapters_of(layers);
  adapted_ |= other->adapters != nullptr;
  PLIMSOLL_CUDA_CHECK(cudaDeviceSynchronize());
  for (Linear* layer : layers) layer->device = other;
}

}  // namespace plimsoll::ops
