#include "cli/context_flags.h"

#include <cstdio>
#include <set>

#include "core/cpu.h"
#include "core/error.h"
#include "core/quote.h"
#include "core/threads.h"
#include "kv/kv_format.h"
#include "ops/device.h"

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

/// What the CPU alone can be asked for.
void check_for_gpu(const ops::Context& context) {
  const auto refuse = [](const char* flag, const char* what, std::string_view found,
                         const char* expected) {
    throw InputError(flag, what, found, fmt::format("{} with --device cuda", expected));
  };
  if (context.compute == ops::Compute::exact) {
    refuse("--compute", "arithmetic", "exact",
           "fast (--weights fp32 --kv fp32 is computed in fp32 all the same)");
  }
}

}  // namespace

ops::Device* opened_device(const std::string& name) {
  return name == "cpu" ? nullptr : &ops::open_device(name);
}

ops::Context ContextFlags::context() const {
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
  context.device = opened_device(device);
  const bool on_gpu = context.device != nullptr;
  context.compute = ops::compute_from_name(!compute.empty() ? compute
                                           : on_gpu         ? "fast"
                                                            : default_compute);
  context.attention = ops::attention_from_name(attention);
  context.kv = kv::kv_format_from_name(!kv.empty() ? kv : on_gpu ? "fp16" : "fp32");
  if (prefill_chunk < 0) {
    throw InputError("--prefill-chunk", "tokens", std::to_string(prefill_chunk),
                     "1 or more, or 0 (chosen by the size of the cache)");
  }
  context.prefill_chunk = prefill_chunk;
  context.numerics_auto = numerics == "auto";
  if (!context.numerics_auto) context.numerics = ops::numerics_from_name(numerics);
  if (explain) context.explain = &explain_once();
  if (on_gpu) check_for_gpu(context);
  return context;
}

void add_attention_flags(CLI::App& command, ContextFlags& flags) {
  command
      .add_option("--attention", flags.attention,
                  "Attention: eager (whole score matrices), flash (tiles), or sdpa (what suits the "
                  "shape)")
      ->capture_default_str();
  command.add_option("--kv", flags.kv, kKvHelp);
}

void add_arithmetic_flags(CLI::App& command, ContextFlags& flags,
                          const std::string& default_compute) {
  flags.default_compute = default_compute;
  command.add_option("--compute", flags.compute,
                     fmt::format("Arithmetic: exact (fp32) or fast (bf16 and int8 units) (default: "
                                 "{}; on a GPU always fast)",
                                 default_compute));
  command
      .add_option("--numerics", flags.numerics,
                  "invariant: the same bits for every batch, chunk and number of threads; fast: no "
                  "such promise; auto: invariant wherever that costs nothing")
      ->capture_default_str();
  command
      .add_option("--prefill-chunk", flags.prefill_chunk,
                  "Tokens of a prompt that are computed together (0: as many as fit in the cache)")
      ->capture_default_str();
  command.add_flag(
      "--explain", flags.explain,
      "Say on standard error which attention kernel runs and why (on a GPU products too), and "
      "which numerics");
}

void add_device_flag(CLI::App& command, std::string& device) {
  command.add_option("--device", device, "Where to run: cpu, cuda or cuda:N")
      ->capture_default_str();
}

void add_device_flags(CLI::App& command, ContextFlags& flags) {
  add_device_flag(command, flags.device);
  command.add_option("--isa", flags.isa,
                     "At most this instruction set: scalar, avx2, avx512, avx512-bf16");
}

void add_cpu_device_flag(CLI::App& command, const std::string& instead) {
  command.add_option_function<std::string>(
      "--device",
      [name = command.get_name(), instead](const std::string& device) {
        if (device == "cpu") return;
        throw InputError("--device", "device", quote(device),
                         fmt::format("cpu: {} computes there; {}", name, instead));
      },
      fmt::format("Where to run: cpu ({})", instead));
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
