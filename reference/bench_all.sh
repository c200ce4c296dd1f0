#!/usr/bin/env bash
# Each model's training beside its PyTorch control, turn by turn, and a Markdown table of impressions per second and of their ratios.
#   reference/bench_all.sh ELIVEREC PYTHON [PAIRS [MODEL...]]
# PAIRS is how often either side runs for a model, 3 if left out; without MODEL all twelve and elive. Nothing else may run meanwhile.
# A ratio is ours over the control of the same turn. Standard error tells each turn, and how much of its cores the control had.
set -euo pipefail
eliverec=$1 python=$2 pairs=${3:-3}
models=("${@:4}")
[ ${#models[@]} -gt 0 ] || models=(wdl din eta dien hgn bst can minet dasl conet dtcdr ddtcdr elive)
here=$(cd "$(dirname "$0")" && pwd)
threads=2
turns=$(mktemp)
trap 'rm -f "$turns"' EXIT
field() { # PYTHON EXPRESSION: of the object on standard input
  "$python" -c "import json, sys; x = json.load(sys.stdin); print($1)"
}
for model in "${models[@]}"; do
  for turn in $(seq "$pairs"); do
    ours=$("$eliverec" bench train --json --feeds 256 --candidates 8 --length 50 --ids 20000 --steps 3 --repeats 3 \
      "model.name=$model" input.width=128 'tower.widths=[200,80]' "training.threads=$threads" 2>/dev/null | field 'x["median"]')
    control=$("$python" "$here/bench.py" --model "$model" --steps 3 --repeats 3 --threads "$threads" --json)
    theirs=$(field 'x["impressions_per_s"]["median"]' <<<"$control")
    share=$(field 'x["cpu_share"]' <<<"$control")
    echo "$model $ours $theirs" >>"$turns"
    echo "$model, turn $turn of $pairs: ours $ours, control $theirs impressions/s, its share of its cores $share" >&2
  done
done
"$python" - "$turns" <<'TABLE'
import statistics
import sys

turns: dict[str, list[tuple[float, float]]] = {}
for line in open(sys.argv[1]):
    model, ours, control = line.split()
    turns.setdefault(model, []).append((float(ours), float(control)))
print("| model | eliverec, impressions/s | control, impressions/s | ratio: min | median | max |")
print("| --- | ---: | ---: | ---: | ---: | ---: |")
for model, pairs in turns.items():
    ours, control = (statistics.median(side) for side in zip(*pairs))
    ratios = [a / b for a, b in pairs]
    of = f"{min(ratios):.2f} | {statistics.median(ratios):.2f} | {max(ratios):.2f}"
    print(f"| {model} | {ours:.0f} | {control:.0f} | {of} |")
TABLE
