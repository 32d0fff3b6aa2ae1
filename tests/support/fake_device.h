// A device that lies in the host's memory: for what is done around one, on machines without a GPU.
// It computes nothing but the choice of tokens.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/error.h"
#include "ops/device.h"

namespace plimsoll::test {

class FakeDevice : public ops::Device {
 public:
  int packed = 0, twins = 0, captured = 0, launched = 0, synchronized = 0;
  std::int64_t free = 0;
  std::uint64_t most = std::uint64_t{1} << 40;  // that require() allows
  std::function<std::string(std::uint64_t)> advice;
  /// Within capture(): nothing is to be computed.
  bool capturing = false;

  Tensor allocate(DType dtype, Shape shape, std::string_view) override {
    const Tensor host = Tensor::zeros(dtype, shape);
    const auto owner = std::make_shared<Tensor>(host);
    return Tensor::on_device(*this, owner->raw(), dtype, std::move(shape), owner);
  }
  void require(std::uint64_t bytes, std::string_view what) override {
    if (bytes > most) throw InputError(std::string(what) + " needs more than there is");
  }
  void upload(const void* source, void* target, std::size_t bytes) override {
    copy(source, target, bytes);
  }
  void download(const void* source, void* target, std::size_t bytes) override {
    copy(source, target, bytes);
  }
  void copy(const void* source, void* target, std::size_t bytes) override {
    if (bytes > 0) std::memcpy(target, source, bytes);
  }
  std::string name() const override { return "fake"; }
  std::string_view kind() const override { return "fake"; }
  void synchronize() override { ++synchronized; }
  std::int64_t peak_bytes() const override { return 0; }
  std::int64_t held_bytes() const override { return 0; }
  std::int64_t total_bytes() const override { return 0; }
  std::int64_t free_bytes() const override { return free; }
  void reset_peak() override {}
  double copy_gbps() override { return 1; }
  double dense_gops() override { return 1; }
  std::string pci_bus_id() const override { return "0000:00:00.0"; }
  /// A byte for each element of the widest product's row and token.
  std::int64_t scratch_bytes(std::span<const ops::ProductSize> products, const ops::Heads&,
                             std::int64_t tokens) const override {
    std::int64_t widest = 0;
    for (const ops::ProductSize& product : products) widest = std::max(widest, product.rows);
    return widest * tokens;
  }
  void trim() override {}
  void advise_memory(std::function<std::string(std::uint64_t)> wanted) override {
    advice = std::move(wanted);
  }
  ops::TrainingDevice& training() override { PLIMSOLL_CHECK(false); }
  void pack(std::span<ops::Linear* const> layers, ops::Joined) override {
    ++packed;
    const auto together = weights();
    for (ops::Linear* layer : layers) layer->device = together;
  }
  void twin(const ops::DeviceLinear&, std::span<ops::Linear* const> layers) override {
    ++twins;
    const auto together = weights();
    for (ops::Linear* layer : layers) layer->device = together;
  }
  bool embeds(const ops::Linear& layer) const override {
    return quant::is_dense(layer.weight.format);
  }
  Tensor embedding(const ops::DeviceRows&, const quant::Matrix&, const ops::Linear*,
                   const quant::Matrix*) override {
    return {};
  }
  Tensor norm(const Tensor&, const ops::Norm&) override { return {}; }
  Tensor products(const ops::Context&, const Tensor&, const ops::Norm*,
                  std::span<const ops::Linear* const>) override {
    return {};
  }
  Tensor swiglu(const ops::Context&, const Tensor&, const ops::Norm&, const ops::Linear&,
                const ops::Linear&) override {
    return {};
  }
  Tensor gelu(const ops::Context&, const Tensor&, const ops::Norm&, const ops::Linear&,
              bool) override {
    return {};
  }
  void add_product(const ops::Context&, const Tensor&, const ops::Linear&, Tensor&) override {}
  Tensor attention(const ops::Context&, const ops::DeviceRows&, std::int64_t, Tensor&,
                   const ops::Heads&, const Tensor*, const ops::AttentionSettings&) override {
    return {};
  }
  class Tokens : public ops::DeviceTokens {
   public:
    void enqueued() override { ++known; }
    std::vector<std::int32_t> read() override {
      PLIMSOLL_CHECK(known > 0 && !steps.empty());
      --known;
      const std::vector<std::int32_t> first = steps.front();
      steps.pop_front();
      return first;
    }
    int known = 0;
    std::deque<std::vector<std::int32_t>> steps;
  };
  std::unique_ptr<ops::DeviceTokens> tokens(std::int64_t) override {
    return std::make_unique<Tokens>();
  }
  void choose(const Tensor& logits, const ops::DeviceRows& rows,
              ops::DeviceTokens& tokens) override {
    if (capturing) return;
    std::vector<std::int32_t>& chosen = static_cast<Tokens&>(tokens).steps.emplace_back();
    for (std::int64_t row = 0; row < logits.dim(0); ++row) {
      const float* line = logits.address<float>() + row * logits.dim(1);
      chosen.push_back(
          static_cast<std::int32_t>(std::max_element(line, line + logits.dim(1)) - line));
      rows.ids.address<std::int32_t>()[row] = chosen.back();
      ++rows.positions.address<std::int32_t>()[row];
    }
  }

  class Replay : public ops::DeviceGraph {
   public:
    Replay(FakeDevice& device, std::function<void()> work)
        : device_(device), work_(std::move(work)) {}
    void launch() override {
      ++device_.launched;
      work_();
    }

   private:
    FakeDevice& device_;
    std::function<void()> work_;
  };
  std::unique_ptr<ops::DeviceGraph> capture(const std::function<void()>& enqueue) override {
    ++captured;
    capturing = true;
    enqueue();
    capturing = false;
    return std::make_unique<Replay>(*this, enqueue);
  }

 private:
  /// Something with an address of its own, which nobody looks into.
  static std::shared_ptr<const ops::DeviceLinear> weights() {
    const auto owner = std::make_shared<int>(0);
    return {owner, reinterpret_cast<const ops::DeviceLinear*>(owner.get())};
  }
};

}  // namespace plimsoll::test
