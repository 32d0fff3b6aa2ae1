#include <algorithm>
#include <cstdio>
#include <iostream>
#include <new>
#include <nlohmann/json.hpp>
#include <string_view>

#include "cli/command.h"
#include "core/error.h"
#include "core/memory.h"
#include "core/units.h"
#include "core/version.h"

namespace plimsoll::cli {

namespace {

/// One line on standard error, whatever the user's words in it hold.
int complain(int status, std::string_view message) {
  end_progress_line();
  std::string line;
  for (const char c : message) {
    const auto byte = static_cast<unsigned char>(c);
    line += byte < 0x20 || byte == 0x7F ? fmt::format("\\x{:02x}", byte) : std::string(1, c);
  }
  std::fprintf(stderr, "plimsoll: %s\n", line.c_str());
  return status;
}

/// What the user gave that is not there, which CLI11 would mention only once nothing is missing.
std::string unknown_arguments(const CLI::App& app) {
  const std::vector<std::string> unknown = app.remaining(/*recurse=*/true);
  if (unknown.empty()) return {};
  if (!app.get_subcommands().empty() || unknown.front().starts_with('-')) {
    return fmt::format("unknown argument: {}", fmt::join(unknown, " "));
  }
  std::vector<std::string> commands;
  for (const CLI::App* command : app.get_subcommands({})) commands.push_back(command->get_name());
  return fmt::format("unknown command: found {}, expected one of {}", unknown.front(),
                     fmt::join(commands, ", "));
}

/// As CLI11 takes a list: the last one first, without the program's name.
std::vector<std::string> reversed_arguments(int argc, char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  // llama-bench's name, for which CLI11 would take -p with the value "g".
  std::ranges::replace(arguments, "-pg", "--pg");
  std::ranges::reverse(arguments);
  return arguments;
}

}  // namespace

int run_program(int argc, char** argv) {
  CLI::App app{
      "Finds how light a language model can ride: runs it in several weight formats, measures "
      "speed,\n"
      "memory and quality side by side, and says which to take.\n\n"
      "Try:\n"
      "  plimsoll study models/demo\n"
      "  plimsoll run models/demo -p \"The captain\" -n 60\n"};
  app.name("plimsoll");
  app.set_version_flag("--version", std::string("plimsoll ") + kVersion);
  app.require_subcommand(1);
  app.failure_message(CLI::FailureMessage::simple);
  for (const auto add :
       {add_study, add_bench, add_profile, add_run, add_eval, add_quantize, add_finetune, add_merge,
        add_logits, add_tokenize, add_info, add_doctor, add_fetch, add_completion}) {
    add(app);
  }
  catch_interrupts();
  try {
    app.parse(reversed_arguments(argc, argv));
    std::cout.flush();
    if (!std::cout) throw InputError("standard output: cannot write to it");
    return 0;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    const std::string unknown = unknown_arguments(app);
    return complain(2, (unknown.empty() ? error.what() : unknown) +
                           std::string(" (plimsoll --help and plimsoll COMMAND --help tell more)"));
  } catch (const ExitStatus& exit) {
    return exit.status;
  } catch (const InputError& error) {
    return complain(2, error.what());
  } catch (const Interrupted&) {
    return complain(130, "interrupted");
  } catch (const nlohmann::json::type_error& error) {
    constexpr int kNotUtf8 = 316;
    if (error.id != kNotUtf8) return complain(1, std::string("internal error: ") + error.what());
    return complain(2, "JSON cannot hold a path or a flag that is not UTF-8");
  } catch (const std::bad_alloc&) {
    return complain(2,
                    fmt::format("no memory beyond the {} in use", format_bytes(resident_memory())));
  } catch (const std::exception& error) {
    return complain(1, std::string("internal error: ") + error.what());
  }
}

}  // namespace plimsoll::cli
