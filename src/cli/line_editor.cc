#include "cli/line_editor.h"

#include <histedit.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <string_view>

#include "cli/command.h"
#include "text/utf8.h"

namespace plimsoll::cli {

namespace {

char* prompt(EditLine*) {
  static char text[] = "> ";
  return text;
}

// Bracketed paste (xterm, "Bracketed Paste Mode"): once asked to, a terminal puts these two around
// a text that comes from the clipboard, so that its line feeds are not taken for the Enter key.
constexpr const char* kAskForBrackets = "\033[?2004h";
constexpr const char* kNoMoreBrackets = "\033[?2004l";
constexpr const char* kPasteBegins = "\\e[200~";  // as libedit spells keys
constexpr std::wstring_view kPasteEnds = L"\033[201~";

/// Terminals send a carriage return for the line feeds in a pasted text. Other control characters
/// are dropped: an editor would take them for keys.
std::wstring as_typed(std::wstring_view pasted) {
  std::wstring text;
  for (std::size_t i = 0; i < pasted.size(); ++i) {
    const bool returns = pasted[i] == L'\r';
    if (returns && pasted.substr(i + 1).starts_with(L'\n')) continue;
    const wchar_t character = returns ? L'\n' : pasted[i];
    const bool control = (character < 0x20 && character != L'\n' && character != L'\t') ||
                         (character >= 0x7f && character < 0xa0);
    if (!control) text += character;
  }
  return text;
}

unsigned char insert_paste(EditLine* editor, int) {
  std::wstring pasted;
  while (!pasted.ends_with(kPasteEnds)) {
    wchar_t character = 0;
    if (el_wgetc(editor, &character) != 1) return CC_EOF;
    pasted += character;
  }
  pasted.resize(pasted.size() - kPasteEnds.size());
  const std::wstring text = as_typed(pasted);
  if (!text.empty() && el_winsertstr(editor, text.c_str()) != 0) return CC_ERROR;
  return CC_REFRESH;
}

/// Waits for a key. A plain read() would not notice a signal that comes just before it.
bool wait_for_key() {
  sigset_t signals, before;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigprocmask(SIG_BLOCK, &signals, &before);
  pollfd input{STDIN_FILENO, POLLIN, 0};
  int ready = -1;
  while (!interrupted() && ready < 0) {
    ready = ppoll(&input, 1, nullptr, &before);
    if (ready < 0 && errno != EINTR) break;
  }
  sigprocmask(SIG_SETMASK, &before, nullptr);
  return ready > 0;
}

/// libedit's contract: 1 with a character, 0 at the end, -1 for an error.
int read_key(EditLine*, wchar_t* key) {
  std::string bytes;
  utf8::Step step;
  do {
    char byte = 0;
    if (!wait_for_key()) return -1;
    if (const auto got = ::read(STDIN_FILENO, &byte, 1); got != 1) return static_cast<int>(got);
    bytes += byte;
    step = utf8::next(bytes);
  } while (step.kind == utf8::Step::Kind::truncated);
  const bool valid = step.kind == utf8::Step::Kind::character;
  *key = static_cast<wchar_t>(valid ? step.code_point : utf8::first(utf8::kReplacement));
  return 1;
}

}  // namespace

class LineEditor::Terminal {
 public:
  explicit Terminal(FILE* output) : output_(output) {
    editor_.reset(el_init("plimsoll", stdin, output, stderr));
    history_.reset(history_init());
    PLIMSOLL_CHECK(editor_ != nullptr && history_ != nullptr, "libedit does not start");
    HistEvent event;
    history(history_.get(), &event, H_SETSIZE, 1000);
    history(history_.get(), &event, H_SETUNIQUE, 1);
    el_set(editor_.get(), EL_HIST, history, history_.get());
    el_set(editor_.get(), EL_PROMPT, prompt);
    el_set(editor_.get(), EL_EDITOR, "emacs");
    el_set(editor_.get(), EL_GETCFN, read_key);
    // el_set would copy the two texts, and never free the copies.
    el_wset(editor_.get(), EL_ADDFN, L"insert-paste", L"Insert a pasted text", insert_paste);
    el_set(editor_.get(), EL_BIND, kPasteBegins, "insert-paste", nullptr);
    el_source(editor_.get(), nullptr);  // the user's own keys, ~/.editrc
  }

  std::optional<std::string> read() {
    el_resize(editor_.get());  // the window may have another size by now
    // Before the prompt is seen: a Ctrl-D that answers it is a key then.
    el_set(editor_.get(), EL_PREP_TERM, 1);
    tell(kAskForBrackets);
    int length = 0;
    const char* typed = el_gets(editor_.get(), &length);
    tell(kNoMoreBrackets);
    if (interrupted()) {
      clear_interrupt();
      if (interrupted()) throw Interrupted{};
      tell("\n");
      el_reset(editor_.get());
      return "";
    }
    if (typed == nullptr || length <= 0) {
      tell("\n");
      return std::nullopt;
    }
    std::string line(typed, static_cast<std::size_t>(length));
    if (line.ends_with('\n')) line.pop_back();
    HistEvent event;
    if (!line.empty()) history(history_.get(), &event, H_ENTER, line.c_str());
    return line;
  }

 private:
  void tell(const char* text) {
    std::fputs(text, output_);
    std::fflush(output_);
  }

  struct End {
    void operator()(EditLine* editor) const { el_end(editor); }
    void operator()(History* history) const { history_end(history); }
  };
  FILE* output_;
  std::unique_ptr<History, End> history_;
  std::unique_ptr<EditLine, End> editor_;
};

LineEditor::LineEditor() {
  FILE* output = isatty(STDOUT_FILENO) == 1 ? stdout : stderr;
  if (isatty(STDIN_FILENO) != 1 || isatty(fileno(output)) != 1) return;
  // libedit converts characters with the C library. Our texts are UTF-8 whatever the user's locale.
  std::setlocale(LC_CTYPE, "C.UTF-8");
  terminal_ = std::make_unique<Terminal>(output);
}

LineEditor::~LineEditor() = default;

std::optional<std::string> LineEditor::read() {
  if (terminal_) return terminal_->read();
  std::string line;
  const bool got = static_cast<bool>(std::getline(std::cin, line));
  if (interrupted()) throw Interrupted{};
  if (!got) return std::nullopt;
  if (line.ends_with('\r')) line.pop_back();
  return line;
}

}  // namespace plimsoll::cli
