#include "kv/block_pool.h"

#include <algorithm>
#include <cstring>

#include "core/device_memory.h"
#include "core/huge_pages.h"
#include "core/memory.h"

namespace plimsoll::kv {

std::int64_t KvShape::bytes_per_token() const {
  const std::int64_t scales = layout().block_scales() * static_cast<std::int64_t>(sizeof(float));
  return layers * (layout().block_bytes() + 2 * scales) / kBlockTokens;
}

std::int64_t KvShape::tokens_held(std::int64_t length, std::int64_t step) const {
  if (window == 0) return length;
  // window - 1 tokens before the step and the step, each end rounded to a block.
  return std::min(length, window - 1 + step + 2 * (kBlockTokens - 1));
}

BlockPool::BlockPool(const KvShape& shape, std::int64_t tokens, DeviceMemory* memory)
    : shape_(shape),
      blocks_(blocks_for(tokens)),
      memory_(memory),
      owners_(static_cast<std::size_t>(blocks_)),
      free_(blocks_) {
  PLIMSOLL_CHECK(tokens > 0 && shape.layers > 0 && shape.kv_heads > 0 && shape.head_dim > 0 &&
                 shape.window >= 0);
  const std::string what = fmt::format("a KV cache of {} tokens", tokens);
  const auto bytes = static_cast<std::uint64_t>(capacity_tokens() * shape.bytes_per_token());
  if (memory == nullptr) {
    require_memory(bytes, what);
  } else {
    memory->require(bytes, what);
  }
  const auto part = [&](DType dtype, const Shape& extents) {
    if (memory != nullptr) return memory->allocate(dtype, extents, what);
    // Attention walks all of it, block by block.
    return dtype == DType::u8 ? empty_on_huge_pages(dtype, extents) : Tensor::empty(dtype, extents);
  };
  const Shape codes{blocks_, shape.layout().block_bytes()};
  const Shape scales{blocks_, shape.layout().block_scales()};
  for (std::int64_t layer = 0; layer < shape.layers; ++layer) {
    layers_.push_back({part(DType::u8, codes), part(DType::f32, scales), part(DType::f32, scales)});
  }
}

void BlockPool::require_free(std::int64_t blocks) const {
  if (blocks <= free_blocks()) return;
  throw InputError(
      fmt::format("the KV cache is full: room for {} tokens in all, {} free, {} needed",
                  capacity_tokens(), free_blocks() * kBlockTokens, blocks * kBlockTokens));
}

std::int32_t BlockPool::begin_of_run() const {
  std::int64_t best = 0, longest = 0;
  for (std::int64_t block = 0; block < blocks_; ++block) {
    const std::int64_t begin = block;
    while (block < blocks_ && owners_[static_cast<std::size_t>(block)] == 0) ++block;
    if (block - begin <= longest) continue;
    longest = block - begin;
    best = begin == 0 ? begin : begin + longest / 2;
  }
  return static_cast<std::int32_t>(best);
}

std::int32_t BlockPool::take(std::int32_t after) {
  require_free(1);
  const std::size_t next = static_cast<std::size_t>(after) + 1;
  const bool goes_on = after >= 0 && next < owners_.size() && owners_[next] == 0;
  const std::int32_t block = goes_on ? after + 1 : begin_of_run();
  owners_[static_cast<std::size_t>(block)] = 1;
  --free_;
  return block;
}

void BlockPool::share(std::int32_t block) {
  PLIMSOLL_CHECK(block >= 0 && block < blocks_);
  PLIMSOLL_CHECK(owners_[static_cast<std::size_t>(block)]++ > 0);
}

void BlockPool::give_back(std::int32_t block) {
  PLIMSOLL_CHECK(block >= 0 && block < blocks_);
  std::int32_t& owners = owners_[static_cast<std::size_t>(block)];
  PLIMSOLL_CHECK(owners > 0, "block {} is free", block);
  if (--owners == 0) ++free_;
}

bool BlockPool::is_shared(std::int32_t block) const {
  return owners_[static_cast<std::size_t>(block)] > 1;
}

void BlockPool::copy(std::int32_t from, std::int32_t to) {
  for (Layer& layer : layers_) {
    for (Tensor* part : {&layer.codes, &layer.key_scales, &layer.value_scales}) {
      const std::size_t bytes = part->bytes() / static_cast<std::size_t>(blocks_);
      std::byte* target = part->raw() + static_cast<std::size_t>(to) * bytes;
      const std::byte* source = part->raw() + static_cast<std::size_t>(from) * bytes;
      if (memory_ != nullptr) {
        memory_->copy(source, target, bytes);
      } else {
        std::memcpy(target, source, bytes);
      }
    }
  }
}

KvView BlockPool::layer(std::int64_t index) {
  Layer& layer = layers_[static_cast<std::size_t>(index)];
  return {.layout = shape_.layout(),
          .keys = layer.codes.raw(),
          .values = layer.codes.raw() + shape_.layout().part_bytes(),
          .key_scales = layer.key_scales.address<float>(),
          .value_scales = layer.value_scales.address<float>()};
}

}  // namespace plimsoll::kv
