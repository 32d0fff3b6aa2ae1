// plimsoll fetch: texts to measure with, from where they are free to have.
#include <algorithm>
#include <array>
#include <iostream>
#include <string_view>

#include "cli/command.h"
#include "cli/download.h"
#include "storage/atomic_file.h"
#include "storage/sha256.h"
#include "text/utf8.h"

namespace plimsoll::cli {

namespace {

struct Book {
  std::string_view name;
  std::string_view url;
  std::string_view sha256;  // of what plain_book() makes of the edition that our figures are for
};
constexpr std::array kBooks{
    Book{"treasure-island", "https://www.gutenberg.org/files/120/120-0.txt",
         "058fbf8fcfdac9edc9750180a859be602296c0f84e40e6546bebbde883f84c49"},
};

struct FetchFlags {
  std::string name;
  std::string output;  // empty: NAME.txt
  std::string url;     // empty: the book's
  int patience = 30;
};

/// Without the byte order mark, and with line feeds for the ends of lines.
std::string unix_text(std::string_view text) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  std::string lines;
  lines.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\r' || !text.substr(i + 1).starts_with('\n')) lines += text[i];
  }
  return lines;
}

std::string_view without_blank_ends(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  // The first line keeps its indentation.
  const std::size_t line = text.rfind('\n', first) + 1;
  return text.substr(line, text.find_last_not_of(kBlank) + 1 - line);
}

/// The book itself out of a Project Gutenberg text file: what is between the lines "*** START OF"
/// and "*** END OF", without blank lines at its ends and, where an edition has it, the line "End of
/// Project Gutenberg's TITLE". A text without either line is taken for the book itself.
std::string plain_book(const std::string& text, const std::string& source) {
  std::string_view book = text;
  const std::size_t start = book.find("*** START OF ");
  const std::size_t end = book.find("*** END OF ");
  if ((start == std::string_view::npos) != (end == std::string_view::npos) || end < start) {
    throw InputError(source, "text", "only part of a Project Gutenberg file",
                     "a line with *** START OF and one with *** END OF");
  }
  if (start != std::string_view::npos) {
    const std::size_t body = book.find('\n', start);
    book = book.substr(0, end).substr(std::min(body, end));
  }
  book = without_blank_ends(book);
  const std::size_t last_line = book.rfind('\n') + 1;
  const std::string_view last = book.substr(last_line);
  if (last.starts_with("End of Project Gutenberg") ||
      last.starts_with("End of the Project Gutenberg")) {
    book = without_blank_ends(book.substr(0, last_line));
  }
  return std::string(book) + '\n';
}

void check_utf8(const std::string& text, const std::string& source) {
  if (const auto bad = find_invalid_utf8(text)) {
    throw InputError(source, fmt::format("byte {}", *bad),
                     fmt::format("0x{:02x}", static_cast<unsigned char>(text[*bad])), "UTF-8 text");
  }
}

void fetch(const FetchFlags& flags) {
  const Book& book = *std::find_if(kBooks.begin(), kBooks.end(),
                                   [&](const Book& each) { return each.name == flags.name; });
  const std::string url = flags.url.empty() ? std::string(book.url) : flags.url;
  // Opened first: who cannot write need not download.
  AtomicFile file(flags.output.empty() ? flags.name + ".txt" : flags.output);
  DownloadLimits limits;
  limits.patience = std::chrono::seconds(flags.patience);
  const std::string received = unix_text(download(url, limits, progress_bar()));
  check_utf8(received, url);
  const std::string text = plain_book(received, url);
  const std::string sum = sha256_hex(text);
  const bool expected = sum == book.sha256;
  // Without the frame only the sum tells a book from an error page.
  if (!expected && received.find("*** START OF ") == std::string::npos) {
    throw InputError(url, "text", "no Project Gutenberg file, SHA-256 " + sum,
                     fmt::format("a line with *** START OF, or SHA-256 {}", book.sha256));
  }
  file.write(text);
  file.commit();
  std::cout << fmt::format("{}: {} bytes, SHA-256 {}\n", file.path().string(), text.size(), sum);
  if (!expected) {
    std::cerr << fmt::format(
        "warning: another edition: SHA-256 {}, expected {}; published figures may differ\n", sum,
        book.sha256);
  }
}

}  // namespace

void add_fetch(CLI::App& app) {
  auto flags = std::make_shared<FetchFlags>();
  CLI::App* command = app.add_subcommand("fetch", "Download a text to measure with");
  command->footer(
      "Texts:\n"
      "  treasure-island   the novel, Project Gutenberg no. 120, without the frame around it\n"
      "Example:\n"
      "  plimsoll fetch treasure-island -o corpus.txt");
  std::vector<std::string> names;
  names.reserve(std::size(kBooks));
  for (const Book& book : kBooks) names.emplace_back(book.name);
  command->add_option("NAME", flags->name, "Which text")->required()->check(CLI::IsMember(names));
  command->add_option("-o,--output", flags->output, "File to write (default: NAME.txt)");
  command->add_option("--url", flags->url, "Another place to download it from: http or https");
  command
      ->add_option("--timeout", flags->patience,
                   "Seconds to wait for a connection, or while nothing arrives")
      ->check(CLI::Range(1, 86400))
      ->capture_default_str();
  command->callback([flags] { fetch(*flags); });
}

}  // namespace plimsoll::cli
