// Timing on a GPU, for benchmarks: work captured once as a graph and replayed.
#pragma once

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "core/cuda/runtime_cuda.h"

namespace plimsoll::kernels {

/// Median and spread (half the quartiles' distance over the median) of replays, in seconds.
struct GraphTiming {
  double median = 0;
  double spread = 0;
};

/// Once as it is, three replays to warm up, then `replays`.
template <class F>
GraphTiming time_graph(const cuda::Stream& stream, F&& enqueue, int replays = 21) {
  enqueue();  // cuBLAS chooses its kernels the first time, and a capture may not load them
  stream.synchronize();
  const cuda::Graph graph = cuda::Graph::capture(stream, enqueue);
  std::vector<double> seconds;
  seconds.reserve(static_cast<std::size_t>(replays));
  cuda::Event begin;
  cuda::Event end;
  for (int i = -3; i < replays; ++i) {
    begin.record(stream);
    graph.launch(stream);
    end.record(stream);
    const double elapsed = cuda::seconds_between(begin, end);
    if (i >= 0) seconds.push_back(elapsed);
  }
  std::sort(seconds.begin(), seconds.end());
  const double median = seconds[seconds.size() / 2];
  return {median, (seconds[seconds.size() * 3 / 4] - seconds[seconds.size() / 4]) / 2 / median};
}

/// One line: microseconds, their spread, and `amount` a second with its share of `ceiling`.
inline void print_timing(const std::string& what, const GraphTiming& timing, double amount,
                         const char* unit, double ceiling) {
  std::printf("  %-40s %9.1f us  +-%4.1f %%  %7.1f %s  %.3f\n", what.c_str(), timing.median * 1e6,
              timing.spread * 100, amount / timing.median, unit, amount / timing.median / ceiling);
  std::fflush(stdout);
}

}  // namespace plimsoll::kernels
