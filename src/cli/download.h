// A file from the web.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

#include "core/progress.h"

namespace plimsoll::cli {

struct DownloadLimits {
  std::size_t bytes = std::size_t{16} << 20;  // of the file
  int redirects = 5;
  /// To connect, and how long nothing at all may arrive.
  std::chrono::seconds patience{30};
};

/// The file at `url`, http or https alone; a redirect may not leave https. InputError naming the
/// host and the reason when it cannot be had whole and within the limits. Interrupted when
/// `progress` asks for it.
std::string download(const std::string& url, const DownloadLimits& limits,
                     const Progress& progress);

}  // namespace plimsoll::cli
