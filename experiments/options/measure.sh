#!/usr/bin/env bash
# Trains an experiment once per setting and seed and prints the best validation figures of each setting, mean and standard
# deviation over three seeds: how the defaults of the model's options were chosen. The test split is not read.
#   experiments/options/measure.sh ELIVEREC FEEDS RUNS EXPERIMENT.toml "KEY=VALUE ..." SETTING...
# A SETTING is one or more KEY=VALUE with commas between them, or `-` for none; the quoted ones hold for all settings. Two
# runs at a time, one thread each. Finished runs are not repeated; one that was killed goes on where it was.
set -euo pipefail
eliverec=$1 feeds=$2 runs=$3 experiment=$4 common=$5
shift 5
name=$(basename "$experiment" .toml)
mkdir -p "$runs"

one() { # SETTING SEED
  run=$runs/$name,$1,$2
  [ -s "$run.best" ] && return
  # shellcheck disable=SC2046,SC2086
  "$eliverec" train --config "$experiment" --feeds "$feeds" --out "$run" --resume --quiet "seed=$2" training.threads=1 $common \
    $([ "$1" = - ] || echo "$1" | tr ',' ' ') 2>"$run.log" || { cat "$run.log" >&2; exit 1; }
  grep '"kind":"evaluation"' "$run/metrics.jsonl" | grep '"best":true' | tail -n 1 >"$run.partial"
  mv "$run.partial" "$run.best"
  rm -r "$run/checkpoints"
}
export -f one
export eliverec feeds runs experiment common name
for setting in "$@"; do for seed in 1 2 3; do echo "$setting $seed"; done; done | xargs -P 2 -L 1 bash -euc 'one "$@"' _

echo "| $name $common | seeds | auc | gauc_user | gauc_feed | logloss | steps |"
echo "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
for setting in "$@"; do
  row="| $setting | $(ls "$runs/$name,$setting",[123].best | wc -l) |"
  for metric in auc gauc_user gauc_feed logloss step; do
    row="$row $(sed -n "s/.*\"$metric\":\([0-9.]*\).*/\1/p" "$runs/$name,$setting",[123].best |
      awk -v digits="$([ $metric = step ] && echo 0 || echo 4)" '{ s += $1; q += $1 * $1; n++ } END { m = s / n; v = n > 1 ? (q - n * m * m) / (n - 1) : 0; printf "%.*f ± %.*f", digits, m, digits, sqrt(v > 0 ? v : 0) }') |"
  done
  echo "$row"
done
