#pragma once

namespace plimsoll::kernels {

/// Attention of Mistral-7B's heads in prefill and decode, and the token's choice: verified, then
/// timed; `prefill_only`: the first alone, with eager beside it. `ceiling`: the copy bandwidth in
/// GB/s. Prints a table.
int bench_attention(double ceiling, bool prefill_only);

}  // namespace plimsoll::kernels
