#!/usr/bin/env bash
# The main job, end to end: import a copy of the ebnerd-demo data, train eLiveRec, evaluate the test split.
#   experiments/quick/run.sh DATA [key=value ...]
set -euo pipefail
data=$(cd "${1:?give the folder with the ebnerd-demo data}" && pwd)
cd "$(dirname "$0")/../.."
cargo build --release --package eliverec
eliverec=target/release/eliverec
[ -e work/ebnerd ] || "$eliverec" import ebnerd --from "$data" --out work/ebnerd
"$eliverec" train --config experiments/quick/ebnerd-elive.toml --feeds work/ebnerd --out work/runs/ebnerd-elive --resume "${@:2}"
"$eliverec" evaluate --run work/runs/ebnerd-elive --feeds work/ebnerd --json
