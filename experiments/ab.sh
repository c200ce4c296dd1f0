#!/usr/bin/env bash
# How far an experiment is to be trusted (docs/ab-simulate.md): in how many of 20 small worlds the truth lies within the intervals, and
# what 200 splits of one log find.
#   experiments/ab.sh ELIVEREC WORK RESULTS
# Finished seeds are not repeated.
set -euo pipefail
eliverec=$1 work=$2 results=$3
mkdir -p "$work" "$results"
"$eliverec" ab simulate --out "$work/ab-seeds" --users 400 --days 2 --before 5 --history 10 --seeds 20 --markdown "$results/coverage.md" training.epochs=2 >/dev/null
[ -e "$work/ab-logs/truth.parquet" ] || "$eliverec" simulate --out "$work/ab-logs" --users 3000 --days 5 --seed 1 >/dev/null
"$eliverec" ab splits --logs "$work/ab-logs" --from 2022-09-02 --pre 1 --splits 200 --effect 0.05 --lost 0.2 --markdown "$results/splits.md" >/dev/null
