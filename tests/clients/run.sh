#!/usr/bin/env bash
# Tests the server with the clients that people use: one line for each, and exit code 1 if one of them is not content.
#
#   tests/clients/run.sh [CLIENT…]      openai anthropic langchain instructor llm node lm_eval llama_cpp
#
# LLAMA_SELFMOD names the binary; without it target/release/llama_selfmod is tested. What is installed lies in target/clients
# and in node_modules here, and is kept until the lists of packages change.
set -euo pipefail
cd "$(dirname "$0")"
here=$PWD
folder=$(cd ../.. && pwd)/target/clients
LLAMA_SELFMOD=$(realpath "${LLAMA_SELFMOD:-../../target/release/llama_selfmod}")
export LLAMA_SELFMOD
[ -x "$LLAMA_SELFMOD" ] || { echo "$LLAMA_SELFMOD is not there: cargo build --release, or set LLAMA_SELFMOD" >&2; exit 2; }
mkdir -p "$folder"

# install NAME LISTS COMMAND…: runs the command if the lists, a word each, are others than the last time.
install() {
  local stamp="$folder/$1.installed" sum
  sum=$(cat $2 | sha256sum)
  [ "$(cat "$stamp" 2> /dev/null)" = "$sum" ] && return
  shift 2
  "$@" > "$stamp.log" 2>&1 || { tail -20 "$stamp.log" >&2; exit 2; }
  echo "$sum" > "$stamp"
}

packages() {
  [ -x "$1/bin/python" ] || python3 -m venv "$1"
  "$1/bin/pip" install --quiet --disable-pip-version-check -r "$2"
}

install python "requirements.txt constraints.txt" packages "$folder/venv" requirements.txt
# Its openai is an older one.
install instructor "requirements-instructor.txt constraints-instructor.txt" \
  packages "$folder/venv-instructor" requirements-instructor.txt
install node package-lock.json npm ci --no-audit --no-fund

client() {
  local name=$1 python="$folder/venv/bin/python" log="$folder/$1.log" begin=$SECONDS code=0
  case $name in
    llama_cpp) set -- "$python" llama_cpp/run.py ;;
    instructor) set -- "$folder/venv-instructor/bin/python" -m pytest -q -p no:cacheprovider test_instructor.py ;;
    *) set -- "$python" -m pytest -q -p no:cacheprovider "test_$name.py" ;;
  esac
  timeout 600 "$@" > "$log" 2>&1 || code=$?
  # pytest's last line, without how long it took.
  local summary
  summary=$(tail -1 "$log" | sed 's/ in [0-9.]*s.*//')
  printf '%-10s %s (%s s)\n' "$name" "$summary" $((SECONDS - begin))
  if [ $code -ne 0 ]; then
    grep -E '^(FAILED|ERROR)' "$log" | cut -c1-160 | sed 's/^/           /' || true
    echo "           $log"
  fi
  return $code
}
export -f client
export folder here

all=(lm_eval openai llama_cpp anthropic langchain instructor llm node)
[ $# -gt 0 ] && all=("$@")
# Two at a time: each waits for its server a good part of the time.
printf '%s\0' "${all[@]}" | xargs -0 -n1 -P2 bash -c 'client "$0"' || exit 1
