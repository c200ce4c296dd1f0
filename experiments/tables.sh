#!/usr/bin/env bash
# Tunes every model on a set of feeds, each with the same budget (tune/space.toml), and makes Table II with what was chosen, three seeds.
#   experiments/tables.sh ELIVEREC WORK SET FEEDS [KEY=VALUE ...]
# Paths are from the project folder. FEEDS is the directory of the set, SET its name under experiments/tuned; on a set without products models are tuned and compared on
# channels alone. What was finished before is not repeated. JOBS runs at a time (1).
set -euo pipefail
eliverec=$1 work=$2 set=$3 feeds=$4
settings=("${@:5}")
jobs=${JOBS:-1}
cd "$(dirname "$0")/.."
here=experiments
domain=both rows=()
cross=(minet dasl conet dtcdr ddtcdr)
if [ "$set" = driver ]; then
  domain=live cross=()
  for model in wdl din dien hgn bst can eta; do rows+=(--row "$model-live"); done
  rows+=(--row linear)
fi
tune() { # MODEL CONFIG
  [ -e "$here/tuned/$set/$1.toml" ] && return
  "$eliverec" tune "$here/tune/space.toml" --config "$2" --feeds "$feeds" --out "$work/tune/$set/$1" \
    --write "$here/tuned/$set/$1.toml" --jobs "$jobs" "${settings[@]}"
}
tune linear "$here/table2/linear.toml"
[ "$domain" = live ] || tune elive "$here/table2/elive-wo-m.toml"
for model in din eta dien wdl hgn bst can; do tune $model "$here/table2/$model-$domain.toml"; done
for model in "${cross[@]}"; do tune "$model" "$here/table2/$model.toml"; done
"$eliverec" experiment "$here/table2" --feeds "$feeds" --out "$work/$set/table2" --seeds 3 --jobs "$jobs" \
  --tuned "$here/tuned/$set" "${rows[@]}" "${settings[@]}"
"$eliverec" report "$work/$set/table2" --markdown "$work/$set/table2/report.md"
