# The development environment: .venv with this tree built and installed in it. Sourced, not run.
#
#   install_package [EXTRA...]    builds and installs; does nothing if no source has changed. Fails
#                                 where the build does, whatever the shell's options are
#   run_logged NAME WHAT COMMAND  runs with a status line; the output is in build/logs/NAME.log
#   say TEXT, fail TEXT           a line on stderr; stdout belongs to the command

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
venv=$root/.venv
logs=$root/build/logs
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PATH="$venv/bin:$PATH"

say() { printf '%s\n' "$*" >&2; }
fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# In a shell of its own, which the first thing that fails ends.
install_package() (
  local built_from='' held='' extras stamp=$venv/llmlocal-built state started=$SECONDS
  check_machine
  [[ -f $stamp ]] && { read -r built_from && read -r held || true; } < "$stamp"
  extras=$(printf '%s\n' ${held//,/ } "$@" | sort -u | paste -sd, - | sed 's/^,//')
  state=$(hash_sources)
  [[ $built_from == "$state" && $held == "$extras" && -x $venv/bin/llmlocal ]] && exit

  say "Building llmlocal in .venv (minutes the first time, seconds after that)"
  "$venv/bin/python" -c '' 2> /dev/null \
    || run_logged venv 'making .venv' "$python" -m venv --clear "$venv"
  rm -f "$stamp"
  install_build_requirements
  # Without isolation the build folder points at tools that stay, so a second build is incremental.
  run_logged build "compiling" \
    "$venv/bin/python" -m pip install -v --no-build-isolation -e ".${extras:+[$extras]}"
  printf '%s\n%s\n' "$state" "$extras" > "$stamp"
  say "Built in $((SECONDS - started)) s"
)

# What pyproject.toml asks for, and cmake and ninja as packages where the machine has none.
install_build_requirements() {
  run_logged build 'installing build tools' "$venv/bin/python" -m pip install build
  local hook requirements
  for hook in 'build_system_requires' 'get_requires_for_build("editable")'; do
    requirements=$("$venv/bin/python" -c "
from build import ProjectBuilder
print(*ProjectBuilder('.').$hook, sep='\n')") || fail "what the build needs can't be asked for"
    [[ -z $requirements ]] || run_logged build 'installing build tools' \
      "$venv/bin/python" -m pip install -r /dev/stdin <<< "$requirements"
  done
}

# Everything that a build reads; Python files are used in place.
hash_sources() {
  {
    find src/cpp CMakeLists.txt pyproject.toml third_party/llama.cpp/{CMakeLists.txt,kernels.cmake,pin.txt} \
      -type f -exec cksum {} + | LC_ALL=C sort
    printf '%s\n' "${LLMLOCAL_LLAMA_CPP-}" "${CMAKE_ARGS-}" "${CXX-}"
  } | cksum
}

check_machine() {
  python=${PYTHON:-python3}
  command -v "$python" > /dev/null \
    || fail "Python is missing ($python); Python 3.10 or newer is needed"
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
    || fail "$("$python" --version) is too old; 3.10 is needed (set PYTHON to choose another)"
  local cxx=${CXX:-$(command -v c++ || command -v g++ || command -v clang++ || true)}
  [[ -n $cxx ]] \
    || fail 'no C++ compiler found; install one (on Debian: apt install g++) or set CXX'
  "$cxx" -std=c++20 -fsyntax-only -x c++ /dev/null 2> /dev/null \
    || fail "$cxx can not compile C++20; g++ 10 or clang++ 12 or newer is needed"
  "$python" -c 'import ensurepip, venv' 2> /dev/null \
    || install_debian python3-venv 'Python can not make environments (ensurepip is missing)'
  "$python" -c 'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")' \
    2> /dev/null || install_debian python3-dev "Python's headers are missing (Python.h)"
}

# install_debian PACKAGE REASON: installs a system package where that takes no question.
install_debian() {
  local as_root=(env)
  [[ $(id -u) == 0 ]] || as_root=(sudo -n)
  if ! command -v apt-get > /dev/null || ! "${as_root[@]}" true 2> /dev/null; then
    fail "$2; on Debian: apt install $1"
  fi
  say "Installing $1: $2"
  run_logged apt "installing $1" "${as_root[@]}" sh -c "
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $1"
}

run_logged() {
  local log=$logs/$1.log what=$2
  shift 2
  mkdir -p "$logs"
  if ! (set -o pipefail && "$@" 2>&1 | tee "$log" | show_progress "$what"); then
    explain_failure "$what" "$log"
    exit 1
  fi
}

# One moving line on a terminal, a few lines in a pipe.
show_progress() {
  local what=$1 line shown=0 done total
  status "$what"
  while IFS= read -r line; do
    if [[ $line =~ ^\ *(llama\.cpp: .*) && $line != *llama.cpp:\ error:* ]]; then
      status "${BASH_REMATCH[1]}" always
    elif [[ $line =~ ^\ *\[([1-9][0-9]*)/([0-9]+)\] ]]; then
      done=${BASH_REMATCH[1]} total=${BASH_REMATCH[2]}
      if ((done * 10 / total == shown)); then
        status "$what: $done of $total"
      else
        status "$what: $done of $total" always
        shown=$((done * 10 / total))
      fi
    elif [[ $line =~ ^\ *Collecting\ ([A-Za-z0-9._-]+) ]]; then
      status "$what: ${BASH_REMATCH[1]}"
    fi
  done
  [[ ! -t 2 ]] || printf '\r\033[K' >&2
}

status() {
  if [[ -t 2 ]]; then
    printf '\r\033[K  %.*s' "$((${COLUMNS:-80} - 4))" "$1" >&2
  elif [[ ${2-} == always ]]; then
    printf '  %s\n' "$1" >&2
  fi
}

# The reason in one line if it is a known one, else the end of the output.
explain_failure() {
  local what=$1 log=$2 reason
  reason=$(sed -n 's/^ *llama\.cpp: error: //p' "$log" | tail -n 1)
  if [[ -n $reason ]]; then
    say "error: $reason"
  elif grep -qE 'NewConnectionError|NameResolutionError|ConnectTimeout' "$log"; then
    say "error: $what: no connection to the package index"
  elif grep -q 'No space left on device' "$log"; then
    say "error: $what: the disk is full"
  else
    tail -n 25 "$log" >&2
    say "error: $what failed; the end of its output is above, all of it in ${log#"$root"/}"
  fi
}
