#!/usr/bin/env bash
# Prunes and quantises a mixture of experts under a limit on address space: `memory.sh [MIB of the file] [MIB of the limit]`.
#
# LLAMA_SELFMOD names the program, RANDOM_MODEL what writes the file: the example `random` of the crate gguf.
set -euo pipefail
cd "$(dirname "$0")/../.."
size=${1:-2048}
limit=${2:-700}
program=$(realpath "${LLAMA_SELFMOD:-target/release/llama_selfmod}")
random=$(realpath "${RANDOM_MODEL:-target/release/examples/random}")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"$random" large.gguf --size "$size"
cat > recipe.toml <<'RECIPE'
recipe = 1
[input]
large = "large.gguf"
[[stage]]
kind = "prune"
model = "large"
experts = 6
by = "random"
[[stage]]
kind = "quantize"
model = "prune"
types = "Q4_0"
RECIPE
ls -l large.gguf
ulimit -v $((limit * 1024)) || { echo "this system has no limit on address space"; exit 0; }
"$program" forge recipe.toml --dry-run
"$program" forge recipe.toml
ls -l forge/*/out
