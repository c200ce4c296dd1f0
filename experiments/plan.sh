#!/usr/bin/env bash
# The capacity plan of docs/scale.md: measures on this machine what `eliverec plan` reckons with, keeps what the benchmarks printed under
# results/plan, and writes the plan into the page. A measurement that is there is kept; remove its file to have it made again. Nothing
# else may run meanwhile. The program has to be of a release build.
#   experiments/plan.sh ELIVEREC WORK
set -euo pipefail
eliverec=$(realpath "$1")
mkdir -p "$2"
work=$(realpath "$2")
cd "$(dirname "$0")/.."
kept=results/plan page=docs/scale.md
mkdir -p "$kept"
case $eliverec in */debug/*)
  echo "$eliverec is a debug build" >&2
  exit 2
  ;;
esac

measure() { # FILE [COMMAND ...] -- ARGUMENT ...: what `bench ARGUMENT ...` prints, by way of a command
  local file=$1 by=()
  shift
  while [ "$1" != -- ]; do
    by+=("$1")
    shift
  done
  shift
  [ -s "$kept/$file" ] && return
  echo "bench $*" >&2
  "${by[@]}" "$eliverec" bench "$@" --json >"$work/$file"
  mv "$work/$file" "$kept/$file"
}

for feeds in 16 64 256; do
  measure "train-$feeds.json" -- train --feeds "$feeds" --ids 1000000
done
measure samples.json -- samples --work "$work/bench" --shards 2 2000000
measure network.json -- network --repeats 2000

# As experiments/serving.sh has it: elive at the paper's size, the service on one core and who asks on the other.
if [ ! -s "$kept/serve.json" ] || [ ! -s "$kept/events.json" ]; then
  [ -e "$work/logs/truth.parquet" ] || "$eliverec" simulate --out "$work/logs" --users 2000 --days 5 --seed 1 >&2
  "$eliverec" samples --logs "$work/logs" --out "$work/feeds" >&2
  [ -e "$work/run/checkpoint.json" ] ||
    "$eliverec" train --config experiments/serving/paper.toml --feeds "$work/feeds" --out "$work/run" >&2
  [ -e "$work/bundle" ] ||
    "$eliverec" export --run "$work/run" --feeds "$work/feeds" --logs "$work/logs" --rows float16 --out "$work/bundle" >&2
  rm -rf "$work/state"
  : >"$work/out"
  taskset -c 0 "$eliverec" serve --bundle "$work/bundle" --state "$work/state" --listen 127.0.0.1:0 >"$work/out" 2>"$work/err" &
  server=$!
  trap 'kill $server 2>/dev/null || true' EXIT
  until url=$(grep -o 'http://.*' "$work/out"); do
    kill -0 $server
    sleep 0.1
  done
  asked=(--url "$url" --feeds "$work/feeds" --users 20000)
  measure serve.json taskset -c 1 -- serve "${asked[@]}" --histories 50 --load 0.5 --call recommend
  measure events.json taskset -c 1 -- serve "${asked[@]}" --call events --connections 16
  kill -TERM $server
  wait $server
  trap - EXIT
fi

# The paper has the impressions of its training set (Table I), the batch and the memory of a server (Sec. V-D). Users, channels, products
# and requests are round numbers of the size that such a platform has.
plan=(plan --impressions-per-day 1.08e9 --users 3e8 --channels 1e6 --products 1e8 --requests-per-second 50000)
for feeds in 16 64 256; do plan+=(--train "$kept/train-$feeds.json"); done
for what in samples serve events network; do plan+=("--$what" "$kept/$what.json"); done
{
  echo '```console'
  echo "\$ eliverec ${plan[*]}"
  "$eliverec" "${plan[@]}"
  echo '```'
} >"$work/plan.md"
awk -v block="$work/plan.md" '
  /^<!-- plan -->$/ { print; while ((getline line <block) > 0) print line; within = 1 }
  /^<!-- end -->$/ { within = 0 }
  !within' "$page" >"$work/page.md"
cp "$work/page.md" "$page"
cat "$work/plan.md"
