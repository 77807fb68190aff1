#!/usr/bin/env bash
# Tests the server's page in a browser: with a stand-in that does what a test needs, then with the real program.
#
# LLAMA_SELFMOD names the binary; without it target/release/llama_selfmod is tested. CHROMIUM names the browser. Packages lie in
# target/page.
set -euo pipefail
cd "$(dirname "$0")"
program=$(realpath "${LLAMA_SELFMOD:-../../target/release/llama_selfmod}")
folder=$(cd ../.. && pwd)/target/page
mkdir -p "$folder"
if ! cmp -s package-lock.json "$folder/package-lock.json"; then
  cp package.json package-lock.json "$folder"
  (cd "$folder" && npm ci --silent --no-audit --no-fund) || { rm -f "$folder/package-lock.json"; exit 1; }
fi
export PLAYWRIGHT=$folder
CHROMIUM=$(command -v "${CHROMIUM:-chromium}")
export CHROMIUM

node --test --test-reporter=spec

place=$(mktemp -d)
OMP_WAIT_POLICY=passive "$program" serve --demo --port 0 --memory-file "$place/log.jsonl" 2> "$place/said" &
server=$!
trap 'kill $server; rm -rf "$place"' EXIT
for _ in $(seq 100); do
  url=$(sed -n 's/^serving \(http:[^ ]*\).*/\1/p' "$place/said")
  [ -n "$url" ] && break
  sleep 0.2
done
[ -n "${url:-}" ] || { cat "$place/said" >&2; exit 1; }
PAGE_URL=$url/ node --test --test-reporter=spec page.test.mjs
