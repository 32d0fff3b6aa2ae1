#include "cli/download.h"

#include <curl/curl.h>

#include <memory>
#include <string_view>

#include "core/error.h"
#include "core/quote.h"
#include "core/units.h"
#include "core/version.h"

namespace plimsoll::cli {

namespace {

template <auto kFree>
struct Freed {
  template <class T>
  void operator()(T* pointer) const {
    kFree(pointer);
  }
};
using Handle = std::unique_ptr<CURL, Freed<curl_easy_cleanup>>;
using UrlHandle = std::unique_ptr<CURLU, Freed<curl_url_cleanup>>;
using CurlText = std::unique_ptr<char, Freed<curl_free>>;

struct Transfer {
  std::string what;
  const DownloadLimits& limits;
  const Progress& progress;
  std::string content;
  bool too_long = false;
  bool stopped = false;
};

std::size_t receive(char* data, std::size_t, std::size_t size, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  if (size > transfer.limits.bytes - transfer.content.size()) {
    transfer.too_long = true;
    return 0;  // fewer than came: libcurl gives up
  }
  transfer.content.append(data, size);
  return size;
}

int tell(void* user, curl_off_t total, curl_off_t done, curl_off_t, curl_off_t) {
  auto& transfer = *static_cast<Transfer*>(user);
  try {
    report(transfer.progress, transfer.what, done, total);
  } catch (const Interrupted&) {  // no exception passes through C
    transfer.stopped = true;
  }
  return transfer.stopped ? 1 : 0;
}

std::string part_of(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, 0) != CURLUE_OK) return {};
  return CurlText(text).get();
}

/// Fails for what is no http or https URL.
std::string host_of(const std::string& url) {
  const UrlHandle parsed(curl_url());
  const bool is_url =
      parsed && curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) == CURLUE_OK;
  const std::string scheme = is_url ? part_of(parsed.get(), CURLUPART_SCHEME) : "";
  if (scheme != "http" && scheme != "https") {
    throw InputError("--url", "URL", quote(url), "http://HOST/... or https://HOST/...");
  }
  const std::string port = part_of(parsed.get(), CURLUPART_PORT);
  return part_of(parsed.get(), CURLUPART_HOST) + (port.empty() ? "" : ":" + port);
}

template <class T>
void set(const Handle& handle, CURLoption option, T value) {
  const CURLcode code = curl_easy_setopt(handle.get(), option, value);
  PLIMSOLL_CHECK(code == CURLE_OK, "libcurl option {}: {}", static_cast<int>(option),
                 curl_easy_strerror(code));
}

void set_up(const Handle& handle, const std::string& url, Transfer& transfer, char* error) {
  const DownloadLimits& limits = transfer.limits;
  const auto patience = static_cast<long>(limits.patience.count());
  set(handle, CURLOPT_URL, url.c_str());
  set(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  set(handle, CURLOPT_REDIR_PROTOCOLS_STR, url.starts_with("http:") ? "http,https" : "https");
  set(handle, CURLOPT_FOLLOWLOCATION, 1L);
  set(handle, CURLOPT_MAXREDIRS, static_cast<long>(limits.redirects));
  set(handle, CURLOPT_CONNECTTIMEOUT, patience);
  set(handle, CURLOPT_LOW_SPEED_LIMIT, 1L);  // bytes a second
  set(handle, CURLOPT_LOW_SPEED_TIME, patience);
  set(handle, CURLOPT_MAXFILESIZE_LARGE, static_cast<curl_off_t>(limits.bytes));
  const std::string agent = std::string("plimsoll/") + kVersion;
  set(handle, CURLOPT_USERAGENT, agent.c_str());
  set(handle, CURLOPT_FAILONERROR, 1L);
  set(handle, CURLOPT_NOSIGNAL, 1L);
  set(handle, CURLOPT_ERRORBUFFER, error);
  set(handle, CURLOPT_WRITEFUNCTION, &receive);
  set(handle, CURLOPT_WRITEDATA, &transfer);
  set(handle, CURLOPT_NOPROGRESS, 0L);
  set(handle, CURLOPT_XFERINFOFUNCTION, &tell);
  set(handle, CURLOPT_XFERINFODATA, &transfer);
}

}  // namespace

std::string download(const std::string& url, const DownloadLimits& limits,
                     const Progress& progress) {
  const std::string host = host_of(url);
  curl_global_init(CURL_GLOBAL_DEFAULT);
  const Handle handle(curl_easy_init());
  PLIMSOLL_CHECK(handle != nullptr, "libcurl does not start");
  Transfer transfer{"download from " + host, limits, progress, {}};
  char error[CURL_ERROR_SIZE] = "";
  set_up(handle, url, transfer, error);
  const CURLcode code = curl_easy_perform(handle.get());
  if (transfer.stopped) throw Interrupted{};
  if (transfer.too_long || code == CURLE_FILESIZE_EXCEEDED) {
    throw InputError(host, "size", "more", fmt::format("at most {}", format_bytes(limits.bytes)));
  }
  if (code != CURLE_OK) {
    const std::string_view reason = error[0] != '\0' ? error : curl_easy_strerror(code);
    throw InputError(fmt::format("{}: cannot download {}: {}", host, url, reason));
  }
  return std::move(transfer.content);
}

}  // namespace plimsoll::cli
