#!/usr/bin/env bash
# Trains rows of this folder for one epoch under some seeds and prints how far L_nce is below its floor on the way, the value that it has
# where z tells no user from another, with L_cor and what the validation split says at the end: does z learn anything?
#   experiments/optimiser/floor.sh ELIVEREC FEEDS RUNS SEEDS ROW...
# One run at a time, one thread. Finished runs are not repeated; one that was killed goes on where it was.
set -euo pipefail
eliverec=$1 feeds=$2 runs=$3 seeds=$4
shift 4
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$runs"
shown=(1 20 50 100 200)
header="| row | seed |" rule="| --- | ---: |"
for update in "${shown[@]}"; do header="$header below the floor at $update |" rule="$rule ---: |"; done
echo "$header at the end | L_cor at the end | auc | gauc_feed |"
echo "$rule ---: | ---: | ---: | ---: |"
for row in "$@"; do
  for seed in $(seq "$seeds"); do
    run=$runs/$row-$seed
    "$eliverec" train --config "$here/$row.toml" --feeds "$feeds" --out "$run" --resume --quiet "seed=$seed" training.epochs=1 \
      training.threads=1 >/dev/null 2>"$run.log" || cat "$run.log" >&2
    log=$run/metrics.jsonl
    found=$(sed -n '/"kind":"step"/s/.*"step":\([0-9]*\),.*"alignment":\([0-9.e+-]*\),"correlation":\([0-9.e+-]*\).*"alignment_floor":\([0-9.e+-]*\).*/\1 \2 \3 \4/p' "$log" |
      awk '{ print $1 + 1, $4 - $2, $3 }')
    line="| $row | $seed |"
    for update in "${shown[@]}"; do line="$line $(awk -v n="$update" '$1 == n { printf "%.3f", $2 }' <<<"$found") |"; done
    line="$line $(awk 'END { printf "%.3f | %.3f", $2, $3 }' <<<"$found") |"
    for metric in auc gauc_feed; do
      line="$line $(grep '"kind":"evaluation"' "$log" | sed -n "s/.*\"$metric\":\([0-9.]*\).*/\1/p" | awk 'END { printf "%.4f", $1 }') |"
    done
    echo "$line"
  done
done
