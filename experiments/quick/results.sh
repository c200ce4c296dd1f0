#!/usr/bin/env bash
# Trains the quick experiments over three seeds, evaluates their test splits, and prints the table of docs/real-sets.md.
#   experiments/quick/results.sh ELIVEREC FEEDS RUNS EXPERIMENT... >>docs/real-sets.md
# Finished runs are not repeated; one that was killed goes on where it was.
set -euo pipefail
eliverec=$1 feeds=$2 runs=$3
shift 3
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$runs"
for experiment in "$@"; do
  for seed in 1 2 3; do
    run=$runs/$experiment-$seed
    [ -s "$run.json" ] && continue
    "$eliverec" train --config "$here/$experiment.toml" --feeds "$feeds" --out "$run" --resume "seed=$seed" training.log_every_steps=200 >&2
    "$eliverec" evaluate --run "$run" --feeds "$feeds" --json >"$run.json.partial"
    mv "$run.json.partial" "$run.json"
  done
done
metrics="auc gauc_user gauc_feed ndcg_at_10 recall_at_10 logloss"
echo "| experiment | seeds | $(echo "$metrics" | sed 's/ / | /g') |"
echo "| --- | ---: |$(for _ in $metrics; do printf -- ' ---: |'; done)"
for experiment in "$@"; do
  row="| $experiment | $(ls "$runs/$experiment"-[123].json | wc -l) |"
  for metric in $metrics; do
    value=$(sed -n "s/.*\"$metric\": \([0-9.]*\),*/\1/p" "$runs/$experiment"-[123].json |
      awk '{ s += $1; q += $1 * $1; n++ } END { if (!n) { print "-"; exit }; m = s / n; v = n > 1 ? (q - n * m * m) / (n - 1) : 0; printf "%.4f ± %.4f", m, sqrt(v > 0 ? v : 0) }')
    row="$row $value |"
  done
  echo "$row"
done
