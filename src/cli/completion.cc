// plimsoll completion: what the shell needs to complete our command line, read off the command
// line's own declaration, so that it cannot go stale.
#include <iostream>
#include <string>
#include <vector>

#include "cli/command.h"

namespace plimsoll::cli {

namespace {

struct Flag {
  std::vector<std::string> names;  // "-n", "--max-new-tokens"
  std::string description;
  bool takes_value = false;
  std::vector<std::string> values;  // where only these are allowed
};

struct Command {
  std::string name;
  std::string description;
  std::vector<Flag> flags;
  std::vector<std::string> values;  // of the positional argument, where only these are allowed
};

/// "TEXT:{text,json}", as CLI::IsMember describes itself: its members.
std::vector<std::string> members(const std::string& type_name) {
  const std::size_t open = type_name.find('{');
  const std::size_t close = type_name.find('}', open);
  if (open == std::string::npos || close == std::string::npos) return {};
  return CLI::detail::split(type_name.substr(open + 1, close - open - 1), ',');
}

Command described(const CLI::App& app) {
  Command command{app.get_name(), app.get_description(), {}, {}};
  for (const CLI::Option* option : app.get_options()) {
    const std::vector<std::string> values = members(option->get_type_name());
    if (option->get_positional()) command.values = values;
    Flag flag{{}, option->get_description(), option->get_items_expected_max() > 0, values};
    for (const std::string& name : option->get_snames()) flag.names.push_back("-" + name);
    for (const std::string& name : option->get_lnames()) flag.names.push_back("--" + name);
    if (!flag.names.empty()) command.flags.push_back(flag);
  }
  return command;
}

std::vector<Command> commands_of(const CLI::App& app) {
  std::vector<Command> commands;
  for (const CLI::App* command : app.get_subcommands({})) commands.push_back(described(*command));
  return commands;
}

/// In single quotes, for either shell.
std::string single_quoted(const std::string& text) {
  std::string result = "'";
  for (const char character : text) {
    if (character == '\'') {
      result += "'\\''";
    } else {
      result += character;
    }
  }
  return result + "'";
}

std::vector<std::string> names_of(const std::vector<Command>& commands) {
  std::vector<std::string> names;
  for (const Command& command : commands) names.push_back(command.name);
  return names;
}

std::vector<std::string> names_of(const std::vector<Flag>& flags) {
  std::vector<std::string> names;
  for (const Flag& flag : flags) names.insert(names.end(), flag.names.begin(), flag.names.end());
  return names;
}

/// One function: which words may stand at the cursor. Where it knows none, readline offers files.
std::string bash_script(const Command& program, const std::vector<Command>& commands) {
  std::string script =
      "# bash completion for plimsoll: eval \"$(plimsoll completion bash)\"\n"
      "_plimsoll() {\n"
      "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}\n"
      "  local command=${COMP_WORDS[1]} words='' flags=''\n"
      "  COMPREPLY=()\n"
      "  if ((COMP_CWORD == 1)); then command=''; fi\n"
      "  case $command in\n";
  script += fmt::format("    '') words={} flags={} ;;\n",
                        single_quoted(fmt::format("{}", fmt::join(names_of(commands), " "))),
                        single_quoted(fmt::format("{}", fmt::join(names_of(program.flags), " "))));
  for (const Command& command : commands) {
    script +=
        fmt::format("    {})\n      words={}\n      flags={}\n      case $previous in\n",
                    command.name, single_quoted(fmt::format("{}", fmt::join(command.values, " "))),
                    single_quoted(fmt::format("{}", fmt::join(names_of(command.flags), " "))));
    for (const Flag& flag : command.flags) {
      if (!flag.takes_value) continue;
      script += fmt::format("        {}) words={} flags='' ;;\n", fmt::join(flag.names, " | "),
                            single_quoted(fmt::format("{}", fmt::join(flag.values, " "))));
    }
    script += "      esac\n      ;;\n";
  }
  return script +
         "  esac\n"
         "  if [[ $current == -* ]]; then words=$flags; fi\n"
         "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
         "}\n"
         "complete -o default -F _plimsoll plimsoll\n";
}

/// A description inside a specification of _arguments or _describe: these read ':', '[' and ']'.
std::string zsh_text(const std::string& text) {
  std::string result;
  for (const char character : text) {
    if (std::string_view(":[]\\").find(character) != std::string_view::npos) result += '\\';
    result += character == '\n' ? ' ' : character;
  }
  return result;
}

std::string zsh_values(const std::vector<std::string>& values) {
  return values.empty() ? "_files" : fmt::format("({})", fmt::join(values, " "));
}

/// '(-n --number)'{-n,--number}'[description]:value:_files', one argument of _arguments.
std::string zsh_flag(const Flag& flag) {
  std::string rest = fmt::format("[{}]", zsh_text(flag.description));
  if (flag.takes_value) rest += ":value:" + zsh_values(flag.values);
  if (flag.names.size() == 1) return single_quoted(flag.names[0] + rest);
  return fmt::format("'({})'{{{}}}{}", fmt::join(flag.names, " "), fmt::join(flag.names, ","),
                     single_quoted(rest));
}

std::string zsh_script(const Command& program, const std::vector<Command>& commands) {
  std::string script =
      "#compdef plimsoll\n"
      "# zsh completion for plimsoll: eval \"$(plimsoll completion zsh)\", or this as a file "
      "_plimsoll in $fpath\n"
      "_plimsoll() {\n"
      "  if ((CURRENT == 2)); then\n"
      "    local -a commands=(\n";
  for (const Command& command : commands) {
    script += fmt::format("      {}\n",
                          single_quoted(command.name + ":" + zsh_text(command.description)));
  }
  script += "    )\n    _describe command commands\n    _arguments";
  for (const Flag& flag : program.flags) script += " \\\n      " + zsh_flag(flag);
  script +=
      "\n    return\n  fi\n  local command=$words[2]\n  shift words\n  ((CURRENT--))\n  case "
      "$command in\n";
  for (const Command& command : commands) {
    script += fmt::format("    {})\n      _arguments", command.name);
    for (const Flag& flag : command.flags) script += " \\\n        " + zsh_flag(flag);
    script += fmt::format(" \\\n        {}\n      ;;\n",
                          single_quoted("*:argument:" + zsh_values(command.values)));
  }
  return script +
         "  esac\n"
         "}\n"
         "if [[ ${funcstack[1]} == _plimsoll ]]; then _plimsoll \"$@\"; else compdef _plimsoll "
         "plimsoll; fi\n";
}

}  // namespace

void add_completion(CLI::App& app) {
  auto shell = std::make_shared<std::string>();
  CLI::App* command =
      app.add_subcommand("completion", "Print a script that completes this command line");
  command->footer(
      "Examples (in ~/.bashrc or ~/.zshrc):\n"
      "  eval \"$(plimsoll completion bash)\"\n"
      "  eval \"$(plimsoll completion zsh)\"");
  command->add_option("SHELL", *shell, "bash or zsh")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh"}));
  command->callback([&app, shell] {
    const Command program = described(app);
    std::cout << (*shell == "bash" ? bash_script : zsh_script)(program, commands_of(app));
  });
}

}  // namespace plimsoll::cli
