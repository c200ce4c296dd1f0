#!/usr/bin/env bash
# Each model's training beside its PyTorch control, turn by turn, and a Markdown table of impressions per second and of their ratios.
#   reference/bench_all.sh ELIVEREC PYTHON [PAIRS [MODEL...]]
# PAIRS is how often either side runs for a model, 3 if left out; without MODEL all twelve and elive. A ratio is ours over the control
# of the same turn. Nothing else may run meanwhile: the last column is the least share of its cores that the control had in a turn.
# ANY_VENDOR=1 makes the control faster on processors that are not Intel's: PyTorch's products come from MKL, which asks for the vendor
# and leaves half of AVX-512 unused on others; then it is told that every processor is Intel's (any_vendor.c, by the C compiler).
set -euo pipefail
eliverec=$1 python=$2 pairs=${3:-3}
models=("${@:4}")
[ ${#models[@]} -gt 0 ] || models=(wdl din eta dien hgn bst can minet dasl conet dtcdr ddtcdr elive)
here=$(cd "$(dirname "$0")" && pwd)
threads=2
turns=$(mktemp)
trap 'rm -f "$turns" "$turns.so"' EXIT
control=("$python")
if [ -n "${ANY_VENDOR:-}" ]; then
  cc -shared -fPIC -o "$turns.so" "$here/any_vendor.c"
  control=(env "LD_PRELOAD=$turns.so" "$python")
fi
field() { # PYTHON EXPRESSION: of the object on standard input
  "$python" -c "import json, sys; x = json.load(sys.stdin); print($1)"
}
for model in "${models[@]}"; do
  for turn in $(seq "$pairs"); do
    timing=$("$eliverec" bench train --json --feeds 256 --candidates 8 --length 50 --ids 20000 --steps 3 --repeats 3 \
      "model.name=$model" input.width=128 'tower.widths=[200,80]' "training.threads=$threads")
    ours=$(field 'x["median"]' <<<"$timing")
    found=$("${control[@]}" "$here/bench.py" --model "$model" --steps 3 --repeats 3 --threads "$threads" --json)
    theirs=$(field 'x["impressions_per_s"]["median"]' <<<"$found")
    share=$(field 'x["cpu_share"]' <<<"$found")
    echo "$model $ours $theirs $share" >>"$turns"
    echo "$model, turn $turn of $pairs: ours $ours, control $theirs impressions/s, its share of its cores $share" >&2
  done
done
"$python" - "$turns" <<'TABLE'
import statistics
import sys

turns: dict[str, list[list[float]]] = {}
for line in open(sys.argv[1]):
    model, *figures = line.split()
    turns.setdefault(model, []).append([float(figure) for figure in figures])
print("| model | eliverec, impressions/s | control, impressions/s | ratio: min | median | max | control's share of its cores |")
print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
for model, found in turns.items():
    ours, control, shares = zip(*found)
    ratios = [a / b for a, b in zip(ours, control)]
    rates = f"{statistics.median(ours):.0f} | {statistics.median(control):.0f}"
    of = f"{min(ratios):.2f} | {statistics.median(ratios):.2f} | {max(ratios):.2f}"
    print(f"| {model} | {rates} | {of} | {min(shares):.2f} |")
TABLE
