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

/// A matrix on the GPU in an order of its own.
std::shared_ptr<const DeviceLinear> fp32_matrix(Tensor values, const std::string& name) {
  quant::Matrix matrix;
  matrix.format = quant::WeightFormat::fp32;
  matrix.rows = values.dim(0);
  matrix.columns = values.dim(1);
  matrix.codes = std::move(values);
  const quant::Matrix* const one[] = {&matrix};
  const gemv::Order order{gemv::Pairing::none, 0, matrix.rows};
  if (const Support support = gemv::can_pack(one, order); !support) {
    throw InputError(name, "adapter beside weights on a GPU", support.reason, "a merged one");
  }
  auto linear = std::make_shared<DeviceLinear>();
  linear->weights = gemv::UploadedWeights(gemv::pack(one, order), name);
  linear->format = matrix.format;
  linear->rows = matrix.rows;
  linear->columns = matrix.columns;
  linear->bytes = quant::matrix_bytes(matrix);
  return linear;
}

/// The adapters of layers that lie as one, as one: all A under each other, and each B, times its
/// scale, in the rows of its layer and the columns of its A, between zeros.
void add_adapters(std::span<Linear* const> layers, DeviceLinear& linear) {
  // What a product's columns come in.
  constexpr std::int64_t kGrain = gemv::chunk_columns(gemv::Format::f32);
  std::int64_t ranks = 0;
  for (const Linear* layer : layers) {
    for (const LowRank& adapter : layer->adapters) ranks += adapter.a.rows;
  }
  if (ranks == 0) return;
  ranks = (ranks + kGrain - 1) / kGrain * kGrain;
  Tensor a = Tensor::zeros(DType::f32, {ranks, linear.columns});
  Tensor b = Tensor::zeros(DType::f32, {linear.rows, ranks});
  std::int64_t first_row = 0, first_rank = 0;
  for (const Linear* layer : layers) {
    for (const LowRank& adapter : layer->adapters) {
      const std::int64_t rank = adapter.a.rows;
      std::ranges::copy(adapter.a.codes.span<float>(),
                        a.data<float>() + first_rank * linear.columns);
      const float* from = adapter.b.codes.data<float>();
      for (std::int64_t row = 0; row < adapter.b.rows; ++row) {
        float* to = b.data<float>() + (first_row + row) * ranks + first_rank;
        for (std::int64_t i = 0; i < rank; ++i) to[i] = adapter.scale * *from++;
      }
      first_rank += rank;
    }
    first_row += layer->weight.rows;
  }
  linear.adapter_a = fp32_matrix(std::move(a), layers.front()->name);
  linear.adapter_b = fp32_matrix(std::move(b), layers.front()->name);
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
  add_adapters(layers, *linear);
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
  add_adapters(layers, *other);
  PLIMSOLL_CUDA_CHECK(cudaDeviceSynchronize());
  for (Linear* layer : layers) layer->device = other;
}

}  // namespace plimsoll::ops
