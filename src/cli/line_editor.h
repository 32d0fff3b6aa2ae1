// Lines that somebody types, or that a pipe delivers.
#pragma once

#include <memory>
#include <optional>
#include <string>

namespace plimsoll::cli {

/// Reads standard input. On a terminal with a prompt, editing and a history (libedit), and a text
/// that is pasted stays one line, line feeds and all. Otherwise as it comes, without a prompt.
class LineEditor {
 public:
  LineEditor();
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  /// Somebody sits at a terminal and sees what is printed.
  bool interactive() const { return terminal_ != nullptr; }
  /// Without its line feed; nullopt at the end of the input. Ctrl-C on a terminal drops what was
  /// typed and gives an empty line. Interrupted when the program shall end.
  std::optional<std::string> read();

 private:
  class Terminal;
  std::unique_ptr<Terminal> terminal_;
};

}  // namespace plimsoll::cli
