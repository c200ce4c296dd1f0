#!/usr/bin/env bash
# How fast the ranker and the service are at the paper's size: trains a model of a few updates, serves it on one core, asks from the
# other, and prints what docs/performance.md has. Nothing else may run meanwhile.
#   experiments/serving.sh ELIVEREC WORK
set -euo pipefail
eliverec=$(realpath "$1") work=$2
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$work"
work=$(realpath "$work")
[ -e "$work/logs/truth.parquet" ] || "$eliverec" simulate --out "$work/logs" --users 2000 --days 5 --seed 1 >&2
"$eliverec" samples --logs "$work/logs" --out "$work/feeds" >&2
if [ ! -e "$work/run/checkpoint.json" ]; then
  "$eliverec" train --config "$here/serving/paper.toml" --feeds "$work/feeds" --out "$work/run" >&2
fi
for rows in float32 float16; do
  [ -e "$work/$rows" ] || "$eliverec" export --run "$work/run" --feeds "$work/feeds" --logs "$work/logs" --rows $rows --out "$work/$rows" >&2
done

title() { printf '\n### %s\n\n```console\n' "$1"; }
shown() { # COMMAND...
  echo "\$ eliverec ${*//"$work/"/}"
  taskset -c 1 "$eliverec" "$@"
}
url=
serve() { # STATE [OPTION ...]: on core 0
  : >"$work/out"
  taskset -c 0 "$eliverec" serve --bundle "$work/float32" --state "$work/$1" "${@:2}" --listen 127.0.0.1:0 >"$work/out" 2>"$work/err" &
  server=$!
  until url=$(grep -o 'http://.*' "$work/out"); do
    kill -0 $server
    sleep 0.1
  done
}
stop() {
  kill -TERM $server
  wait $server
}
trap 'kill $server 2>/dev/null || true' EXIT
load() { # SECONDS ...
  shown bench serve --url "$url" --feeds "$work/feeds" --seconds "$@"
}

title "The ranker alone"
shown bench ranker
shown bench ranker --candidates 500
shown bench ranker --candidates 500 input.width=32 model.heads=4 model.blocks=1
echo '```'
rm -rf "$work/state"
serve state
title "At the socket: all tasks"
load 10 --histories 50
load 10 --load 0.5
echo '```'
title "p(watch) alone"
load 10 --watch-only
load 10 --load 0.5 --watch-only
echo '```'
title "Retrieval and ranking"
load 10 --call recommend
load 10 --call recommend --load 0.5
echo '```'
title "Three times as much as it can answer"
load 10 --load 3 --connections 128
load 10 --load 0.5
echo '```'
title "A hundred bundles put in service under half load"
load 150 --load 0.5 --swap "$work/float16" --swap "$work/float32"
echo '```'
title "Events"
load 10 --call events --connections 16 --fsync "$work/."
load 10 --call events --connections 16 --batch 1
load 10 --call events --connections 1 --batch 1
echo '```'
stop
title "No history kept: every user's side is encoded for every request"
echo 'cache_mib = 0' >"$work/none-kept.toml"
serve state --config "$work/none-kept.toml"
load 10
load 10 --watch-only
load 10 --load 0.5
stop
echo '```'
title "A start with 100,000 users of full histories"
rm -rf "$work/large"
serve large
load 1 --call events --users 100000 --histories 50
stop
du -sh "$work/large/log" "$work/large/snapshots" | sed "s:$work/::"
serve large
grep 'state: ' "$work/err"
stop
echo '```'
