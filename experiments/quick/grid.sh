#!/usr/bin/env bash
# Trains an experiment once per value of one of its keys and prints the best validation figures of each: how the lambdas of
# the quick experiments were chosen. The test split is not read.
#   experiments/quick/grid.sh ELIVEREC FEEDS RUNS EXPERIMENT KEY VALUE... [-- KEY=VALUE ...]
# Finished runs are not repeated; one that was killed goes on where it was.
set -euo pipefail
eliverec=$1 feeds=$2 runs=$3 experiment=$4 key=$5
shift 5
values=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  values+=("$1")
  shift
done
fixed=("${@:2}")
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$runs"
echo "| $experiment ${fixed[*]} $key | step | auc | gauc_feed |"
echo "| ---: | ---: | ---: | ---: |"
for value in "${values[@]}"; do
  settings=("${fixed[@]}" "$key=$value")
  run=$runs/$(IFS=,; echo "$experiment,${settings[*]}")
  "$eliverec" train --config "$here/$experiment.toml" --feeds "$feeds" --out "$run" --resume "${settings[@]}" training.log_every_steps=1000 >&2
  best=$(grep '"kind":"evaluation"' "$run/metrics.jsonl" | grep '"best":true' | tail -n 1)
  number() { sed "s/.*\"$1\":\([0-9.]*\).*/\1/" <<<"$best"; }
  echo "| $value | $(number step) | $(number auc) | $(number gauc_feed) |"
done
