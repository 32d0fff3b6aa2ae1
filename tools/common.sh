# What the two front doors share: where things are, how a step is announced, how a preset is built.
# Sourced, never run. The caller has set `top`, the root of the clone.
# shellcheck shell=bash disable=SC2154

logs=$top/build/logs

# One line a step, with the seconds since the start, so that a slow step shows.
step() { printf '[%4ds] %s\n' "$SECONDS" "$*" >&2; }

# logged NAME COMMAND...: the output goes to build/logs/NAME.log, and to the terminal when COMMAND
# fails (its last 150 lines, without ctest's lines about tests that began or passed).
logged() {
  local name=$1 log=$logs/$1.log status=0
  shift
  mkdir -p "$logs"
  "$@" >"$log" 2>&1 </dev/null || status=$?
  if ((status != 0)); then
    grep -vE '^ *Start +[0-9]+:|^ *[0-9]+/[0-9]+ Test +#.*(Passed|\*\*\*Skipped) ' "$log" | tail -n 150 >&2
    printf '%s: exit status %d; the whole output is in %s\n' "$name" "$status" "${log#"$top"/}" >&2
  fi
  return "$status"
}

# Nothing is written outside the clone: not in the home folder either, which may not exist.
prepare_environment() {
  export CCACHE_DIR=${CCACHE_DIR:-$top/build/ccache} CCACHE_MAXSIZE=${CCACHE_MAXSIZE:-2G}
  # A clone made by one user and built by another (a container, sudo) is still ours to ask about.
  export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0=$top
}

# install_packages build|test
install_packages() {
  local packages
  packages=$("$top/tools/install_packages" "$1" --list) || return
  if [[ -n $packages ]]; then
    step "install packages: ${packages//$'\n'/ }"
    logged packages "$top/tools/install_packages" "$1" || return
  fi
  install_web_packages "$1"
}

# What the report page is built from (npm) and, for `test`, looked at with. The program builds without
# either: a registry that cannot be reached costs the page, not the study.
install_web_packages() {
  local installed=$top/web/node_modules/.package-lock.json
  export npm_config_cache=${npm_config_cache:-$top/build/npm}
  if ! [[ $installed -nt $top/web/package-lock.json ]]; then
    step "install the report page's packages (npm)"
    if ! logged npm npm ci --prefix "$top/web"; then
      step "no report page: npm could not install its packages; reports are Markdown only"
      return 0
    fi
    touch "$installed"
  fi
  if [[ $1 != test || -x /usr/bin/chromium ]]; then return 0; fi
  # Ubuntu's chromium is a stub that wants snap: there Playwright brings its own.
  export PLAYWRIGHT_BROWSERS_PATH=$top/build/playwright
  if ! compgen -G "$PLAYWRIGHT_BROWSERS_PATH/*/INSTALLATION_COMPLETE" >/dev/null; then
    step "install Chromium (Playwright)"
    logged chromium node "$top/web/node_modules/playwright-core/cli.js" install --with-deps --only-shell chromium ||
      step "no Chromium: the test of the report page is skipped"
  fi
}

# Compile jobs: one a core, but no more than one for each 2 GB of memory to be had.
job_count() {
  local cores memory_kb limit
  cores=$(nproc)
  memory_kb=$(awk '$1 == "MemAvailable:" {print $2}' /proc/meminfo)
  limit=$(cat /sys/fs/cgroup/memory.max 2>/dev/null || echo max)
  if [[ $limit != max ]] && ((limit / 1024 < memory_kb)); then memory_kb=$((limit / 1024)); fi
  local jobs=$((memory_kb / (2 * 1024 * 1024)))
  ((jobs > cores)) && jobs=$cores
  ((jobs < 1)) && jobs=1
  echo "$jobs"
}

# configure PRESET [-DNAME=VALUE...]
configure() {
  local preset=$1 fresh=()
  shift
  # A build folder that came here with a copied or moved clone knows the wrong paths.
  local cache=$top/build/$preset/CMakeCache.txt
  if [[ -f $cache ]] && ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$top" "$cache"; then fresh=(--fresh); fi
  step "configure $preset"
  logged "configure-$preset" cmake -S "$top" --preset "$preset" "${fresh[@]}" "$@"
}

# build PRESET [TARGET...]
build() {
  local preset=$1 jobs targets=()
  shift
  jobs=$(job_count)
  (($# > 0)) && targets=(--target "$@")
  step "build $preset ($jobs at a time)"
  logged "build-$preset" cmake --build "$top/build/$preset" --parallel "$jobs" "${targets[@]}"
}
