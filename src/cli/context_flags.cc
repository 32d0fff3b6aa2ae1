#include "cli/context_flags.h"

#include <cstdio>
#include <set>

#include "core/cpu.h"
#include "core/error.h"
#include "core/threads.h"
#include "kv/kv_format.h"

namespace plimsoll::cli {

namespace {

/// Says each line once, however many layers and steps choose alike.
const ops::Explain& explain_once() {
  static const ops::Explain kExplain = [](const std::string& line) {
    static std::set<std::string> said;
    if (said.insert(line).second) std::fprintf(stderr, "%s\n", line.c_str());
  };
  return kExplain;
}

}  // namespace

ops::Context ContextFlags::context() const {
  if (device != "cpu") {
    throw InputError("--device", "device", device, "cpu (this build has no CUDA kernels)");
  }
  if (threads < 0)
    throw InputError("--threads", "count", std::to_string(threads), "0 (all cores) or more");
  if (!isa.empty()) {
    const auto level = isa_from_name(isa);
    if (!level)
      throw InputError("--isa", "instruction set", isa, "scalar, avx2, avx512 or avx512-bf16");
    limit_isa(*level);
  }
  set_threads(threads);
  ops::Context context;
  context.compute = ops::compute_from_name(compute);
  context.attention = ops::attention_from_name(attention);
  context.kv = kv::kv_format_from_name(kv);
  if (prefill_chunk < 0) {
    throw InputError("--prefill-chunk", "tokens", std::to_string(prefill_chunk),
                     "1 or more, or 0 (chosen by the size of the cache)");
  }
  context.prefill_chunk = prefill_chunk;
  context.numerics = ops::numerics_from_name(numerics);
  if (explain) context.explain = &explain_once();
  return context;
}

void add_attention_flags(CLI::App& command, ContextFlags& flags) {
  command
      .add_option("--attention", flags.attention,
                  "Attention: eager (whole score matrices), flash (tiles), or sdpa (what suits the "
                  "shape)")
      ->capture_default_str();
  command.add_option("--kv", flags.kv, "How keys and values are stored: fp32, bf16, fp16 or int8")
      ->capture_default_str();
}

void add_arithmetic_flags(CLI::App& command, ContextFlags& flags,
                          const std::string& default_compute) {
  flags.compute = default_compute;
  command
      .add_option("--compute", flags.compute,
                  "Arithmetic: exact (fp32) or fast (bf16 and int8 units)")
      ->capture_default_str();
  command
      .add_option("--numerics", flags.numerics,
                  "invariant: the same bits for every batch, chunk and number of threads; fast: no "
                  "such promise")
      ->capture_default_str();
  command
      .add_option("--prefill-chunk", flags.prefill_chunk,
                  "Tokens of a prompt that are computed together (0: as many as fit in the cache)")
      ->capture_default_str();
  command.add_flag("--explain", flags.explain,
                   "Say on standard error which attention kernel runs and why");
}

void add_device_flags(CLI::App& command, ContextFlags& flags) {
  command.add_option("--device", flags.device, "Where to run: cpu")->capture_default_str();
  command.add_option("--isa", flags.isa,
                     "At most this instruction set: scalar, avx2, avx512, avx512-bf16");
}

void add_machine_flags(CLI::App& command, ContextFlags& flags) {
  add_device_flags(command, flags);
  command.add_option("-t,--threads", flags.threads, "Threads (0: every core)")
      ->capture_default_str();
}

void add_context_flags(CLI::App& command, ContextFlags& flags, const std::string& default_compute) {
  add_attention_flags(command, flags);
  add_arithmetic_flags(command, flags, default_compute);
  add_machine_flags(command, flags);
}

}  // namespace plimsoll::cli
