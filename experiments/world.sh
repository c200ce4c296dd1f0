#!/usr/bin/env bash
# Tables III and IV, Figures 5 and 6 on the small simulated world, with three seeds, two runs at a time: makes the world, runs the
# experiments, writes their reports and prints how long each step took.
#   experiments/world.sh ELIVEREC WORK
# What was finished before is not repeated; then the times are of the rest.
set -euo pipefail
eliverec=$1 work=$2
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$work"
start=$SECONDS
echo "| step | seconds |"
echo "| --- | ---: |"
timed() { # NAME COMMAND...
  local begun=$SECONDS
  "${@:2}" >&2
  echo "| $1 | $((SECONDS - begun)) |"
}
[ -e "$work/logs/truth.parquet" ] || timed simulate "$eliverec" simulate --out "$work/logs" --users 2000 --days 10 --seed 1
timed samples "$eliverec" samples --logs "$work/logs" --out "$work/world"
timed "samples, product clicks to 100" "$eliverec" samples --logs "$work/logs" --out "$work/world-100" --product-history 100
for name in table3 table4 fig5 fig6; do
  feeds=$work/world
  [ "$name" != fig6 ] || feeds=$work/world-100
  timed "$name" "$eliverec" experiment "$here/$name" --feeds "$feeds" --logs "$work/logs" --out "$work/$name" --seeds 3 --jobs 2
  timed "report of $name" "$eliverec" report "$work/$name" --markdown "$work/$name/report.md"
done
echo "| together | $((SECONDS - start)) |"
