#!/usr/bin/env bash
# Trains the paper's settings for some updates, once as they are and once per other setting, and prints the loss of watching on
# the way, its largest value, and what the validation split says after the last update: what learning rate 0.05 does at first.
#   experiments/paper/first_updates.sh ELIVEREC FEEDS RUNS UPDATES SETTING...
# A SETTING is one or more KEY=VALUE with commas between them, or `-` for none. Two runs at a time, one thread each. Finished runs
# are not repeated; one that was killed goes on where it was.
set -euo pipefail
eliverec=$1 feeds=$2 runs=$3 updates=$4
shift 4
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$runs"

one() { # SETTING
  # shellcheck disable=SC2046
  "$eliverec" train --config "$here/elive.toml" --feeds "$feeds" --out "$runs/$1" --resume --quiet training.threads=1 \
    "training.max_steps=$updates" "training.evaluate_every_steps=$updates" $([ "$1" = - ] || echo "$1" | tr ',' ' ') \
    >/dev/null 2>"$runs/$1.log" || cat "$runs/$1.log" >&2
}
export -f one
export eliverec feeds runs updates here
printf '%s\n' "$@" | xargs -P 2 -I SETTING bash -euc 'one SETTING'

shown=(1 3 5 10 20 40 80)
header="| preset=paper |" rule="| --- |"
for update in "${shown[@]}"; do header="$header update $update |" rule="$rule ---: |"; done
echo "$header largest (update) | auc after $updates | gauc_user | logloss |"
echo "$rule ---: | ---: | ---: | ---: |"
for setting in "$@"; do
  log=$runs/$setting/metrics.jsonl
  losses=$(sed -n '/"kind":"step"/s/.*"step":\([0-9]*\),.*"watch":\([0-9.e+-]*\).*/\1 \2/p' "$log" | awk '{ print $1 + 1, $2 }')
  row="| $setting |"
  for update in "${shown[@]}"; do row="$row $(awk -v n="$update" '$1 == n { printf "%.3f", $2 }' <<<"$losses") |"; done
  row="$row $(awk '$2 > m { m = $2; n = $1 } END { printf "%.3f (%d)", m, n }' <<<"$losses") |"
  for metric in auc gauc_user logloss; do
    row="$row $(grep '"kind":"evaluation"' "$log" | sed -n "s/.*\"$metric\":\([0-9.]*\).*/\1/p" | awk '{ printf "%.4f", $1 }') |"
  done
  echo "$row"
done
