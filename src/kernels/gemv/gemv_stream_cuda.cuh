// A warp's weights: its chunks, tile after tile, as one stream through a ring of slots in shared
// memory that asynchronous copies fill. They leave L2 first, so that what each step reads again
// stays there: norms, biases, row_meta, and the activations.
//
// What a multiprocessor asks for comes in the order in which it asked. So a kernel requests what it
// knows of the rows, some of the weights, then the activations, and then the rest of the ring:
// activations wait for no more weights than were needed to pass the time until they existed, and
// memory stays busy until the first weights are multiplied.
#pragma once

#include "kernels/gemv/gemv_stage_cuda.cuh"

namespace plimsoll::kernels::gemv {

/// Which tiles and chunks a warp multiplies. Local tile i of a block is tile first + i * step of
/// the matrix.
struct Share {
  int tiles;        // local tiles of the block
  int group;        // the warp's first local tile; then every kGroups-th
  int first, step;  // see above
  int begin, end;   // chunks of each
};

/// fn(i) for `count` chunks of a step.
template <int kUnroll, class Fn>
__device__ inline void for_chunks(int count, Fn&& fn) {
  if (count == kUnroll) {
#pragma unroll
    for (int i = 0; i < kUnroll; ++i) fn(i);
  } else {
#pragma unroll 1
    for (int i = 0; i < count; ++i) fn(i);
  }
}

template <Format kFormat, int kStages, int kUnroll, int kGroups>
class WeightStream {
 public:
  /// Slots of a full ring that are requested behind the activations.
  static constexpr int kLate = 2;
  static constexpr int kScales = scale_bytes(kFormat);
  static constexpr int kSlot = kUnroll * (kCodeBytes + kScales);
  /// Of a ring of `slots`, kStages or one less.
  PLIMSOLL_HOST_DEVICE static constexpr std::uint32_t ring_bytes(int slots) {
    return static_cast<std::uint32_t>(kWarps * slots * kSlot);
  }

  /// Requests the first chunks. `rings` has ring_bytes(slots).
  __device__ WeightStream(const DeviceWeights& w, const Share& share, unsigned char* rings,
                          int slots, int warp, int lane)
      : share_(share),
        ring_(rings + warp * slots * kSlot),
        end_(ring_ + slots * kSlot),
        slot_(ring_),
        full_(slots == kStages),
        head_tile_(share.begin < share.end ? share.group : share.tiles),
        head_(share.begin),
        lane_(lane) {
    const std::int64_t first =
        static_cast<std::int64_t>(share.first + share.group * share.step) * w.chunks + share.begin;
    codes_ = w.codes + first * kCodeBytes + lane * 16;
    scales_ = w.scales + first * kScales + lane * 16;
    to_next_tile_ =
        static_cast<std::int64_t>(kGroups * share.step) * w.chunks - (share.end - share.begin);
#pragma unroll 1
    for (int i = 0; i < kStages - kLate; ++i) request();
  }

  /// Behind other copies, whose group was closed: fills the ring, and waits for them.
  __device__ void fill_and_wait() {
#pragma unroll 1
    for (int i = full_ ? 0 : 1; i < kLate; ++i) request();
    if (full_) {
      cuda_device::wait_for_copies<kLate>();
    } else {
      cuda_device::wait_for_copies<kLate - 1>();
    }
  }

  /// Multiplies all: format.begin_tile(local), format.multiply(codes, scales, chunk, count) of each
  /// kUnroll chunks, at the end fewer, end_tile(local).
  template <class F, class EndTile>
  __device__ void multiply(F& format, EndTile&& end_tile) {
    const unsigned char* taken = ring_;
    for (int local = share_.group; local < share_.tiles; local += kGroups) {
      format.begin_tile(local);
      for (int chunk = share_.begin; chunk < share_.end; chunk += kUnroll) {
        if (full_) {
          cuda_device::wait_for_copies<kStages - 1>();
        } else {
          cuda_device::wait_for_copies<kStages - 2>();
        }
        __syncwarp();
        format.multiply(taken, taken + kUnroll * kCodeBytes, chunk,
                        min(kUnroll, share_.end - chunk));
        taken = taken + kSlot == end_ ? ring_ : taken + kSlot;
        __syncwarp();  // every lane has read the slot, which is filled next
        request();
      }
      end_tile(local);
    }
    // A warp that had no chunk must not hold up the next kernel.
    cuda_device::let_next_start();
  }

 private:
  __device__ void request() {
    if (head_tile_ < share_.tiles) {
      const int count = min(kUnroll, share_.end - head_);
#pragma unroll
      for (int i = 0; i < kUnroll; ++i) {
        if (i < count)
          cuda_device::copy_async_once(slot_ + i * kCodeBytes + lane_ * 16, codes_ + i * kCodeBytes,
                                       policy_);
      }
      if (kScales > 0 && lane_ < count * kScales / 16) {
        cuda_device::copy_async_once(slot_ + kUnroll * kCodeBytes + lane_ * 16, scales_, policy_);
      }
      codes_ += count * kCodeBytes;
      scales_ += count * kScales;
      head_ += kUnroll;
      if (head_ >= share_.end) {
        head_ = share_.begin;
        codes_ += to_next_tile_ * kCodeBytes;
        scales_ += to_next_tile_ * kScales;
        head_tile_ += kGroups;
        if (head_tile_ >= share_.tiles) cuda_device::let_next_start();
      }
    }
    cuda_device::close_copy_group();
    slot_ = slot_ + kSlot == end_ ? ring_ : slot_ + kSlot;
  }

  Share share_;
  unsigned char* ring_;
  unsigned char* end_;
  unsigned char* slot_;  // to be filled next
  bool full_;            // kStages slots
  const unsigned char* codes_;
  const unsigned char* scales_;
  std::int64_t to_next_tile_;  // chunks
  int head_tile_, head_, lane_;
  std::uint64_t policy_ = cuda_device::policy_of_once();
};

/// Requests what is known of the block's rows before any activation; of the group that is closed
/// next.
template <Format kFormat>
__device__ inline void request_row_meta(const DeviceWeights& w, const Share& share, float* meta,
                                        float* nested) {
  constexpr int kTile = kTileRows * row_meta_floats(kFormat);
  const int thread = static_cast<int>(threadIdx.x);
  if constexpr (kTile > 0) {
    for (int i = thread * 4; i < share.tiles * kTile; i += kThreads * 4) {
      cuda_device::copy_async(
          meta + i, w.row_meta + (share.first + i / kTile * share.step) * kTile + i % kTile);
    }
  }
  if constexpr (kFormat == Format::table4_dq) {
    if (thread < 64) cuda_device::copy_async(nested + thread * 4, w.nested_table + thread * 4);
  }
}

/// A tile's slices are put together within each quarter of the columns, then the quarters: so the
/// blocks of a cluster, which have one or two quarters each, come to one row's sums, to the bit.
inline constexpr int kQuarters = 4;

}  // namespace plimsoll::kernels::gemv
