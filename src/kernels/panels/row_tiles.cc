#include "kernels/panels/row_tiles.h"

namespace plimsoll::kernels {

RowTiles::RowTiles(std::int64_t rows, std::int64_t count, std::span<const int> sizes,
                   const Prepare& prepare) {
  const std::int64_t largest = sizes.back();
  for (std::int64_t first = 0; first < rows; first += largest) {
    const std::int64_t left = std::min(largest, rows - first);
    const auto kernel = static_cast<std::size_t>(
        std::find_if(sizes.begin(), sizes.end(), [&](int size) { return size >= left; }) -
        sizes.begin());
    tiles_.push_back({first, left, kernel, nullptr});
  }
  const std::int64_t padded = tiles_.back().first + sizes[tiles_.back().kernel];
  words_ = Tensor::empty(DType::i32, {padded, count});
  auto* words = reinterpret_cast<std::uint32_t*>(words_.raw());
  for (RowTile& tile : tiles_) tile.words = words + tile.first * count;

  parallel_for(static_cast<std::int64_t>(tiles_.size()), 1,
               [&](std::int64_t begin, std::int64_t end) {
                 Tensor row;  // of tiles that are interleaved
                 if (rows > 1) row = Tensor::empty(DType::i32, {largest, count});
                 auto* source = reinterpret_cast<std::uint32_t*>(row.raw());
                 for (std::int64_t t = begin; t < end; ++t) {
                   const RowTile& tile = tiles_[static_cast<std::size_t>(t)];
                   std::uint32_t* out = words + tile.first * count;
                   const std::int64_t size = sizes[tile.kernel];
                   if (size == 1) {
                     prepare(tile.first, out);
                     continue;
                   }
                   for (std::int64_t r = 0; r < tile.rows; ++r) {
                     prepare(tile.first + r, source + r * count);
                   }
                   std::fill(source + tile.rows * count, source + size * count, 0u);
                   for (std::int64_t w = 0; w < count; ++w) {
                     for (std::int64_t r = 0; r < size; ++r) *out++ = source[r * count + w];
                   }
                 }
               });
}

}  // namespace plimsoll::kernels
