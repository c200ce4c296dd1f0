#!/usr/bin/env bash
# Compares a warm start, day by day, with training from scratch, and prints both tables of docs/results.md.
#   experiments/warm_start/measure.sh ELIVEREC FEEDS WORK EXPERIMENT.toml DAYS "EPOCHS ..." "KEY=VALUE ..." SEED...
# FEEDS has one file per day, as `eliverec samples` makes it. A first run trains on the first DAYS of them; each later day but
# the last is then trained on in these ways, and each is tested on the day after:
#   stale           the first run, which has seen nothing since
#   warm-E          --init-from the run of the day before, E epochs on the new day alone, for each E of EPOCHS
#   scratch-day-E   new weights and rows, E epochs on the new day alone: the same feeds and updates as that day's warm start
#   scratch-all     new weights and rows, on all days so far, for the epochs of the experiment, as the first run
# Nothing has a validation split, so no run is chosen by what it is tested on. Two seeds at a time, one thread each. Finished
# runs are not repeated; one that was killed goes on where it was.
set -euo pipefail
eliverec=$1 feeds=$(realpath "$2") work=$3 experiment=$4 first=$5 epochs=$6 common=$7
shift 7
mkdir -p "$work"
mapfile -t days < <(ls "$feeds"/*/*.parquet | sed 's|.*/\(.*\)\.parquet|\1|' | sort)

# Feeds that train on days FROM to TO, counted from 0, and test on the day after.
cut() { # NAME FROM TO
  mkdir -p "$work/feeds/$1/train" "$work/feeds/$1/test"
  cp "$feeds/schema.toml" "$work/feeds/$1"
  for ((i = $2; i <= $3; i++)); do ln -sf "$feeds"/*/"${days[i]}.parquet" "$work/feeds/$1/train"; done
  ln -sf "$feeds"/*/"${days[$3 + 1]}.parquet" "$work/feeds/$1/test"
}
cut first 0 $((first - 1))
tested=()
for ((day = first; day < ${#days[@]} - 1; day++)); do
  cut "$day-day" "$day" "$day"
  cut "$day-all" 0 "$day"
  tested+=("$day")
done

train() { # RUN FEEDS SEED ARGUMENT...
  # shellcheck disable=SC2086
  "$eliverec" train --config "$experiment" --feeds "$work/feeds/$2" --out "$1" --resume --quiet "seed=$3" training.patience=0 \
    training.threads=1 $common "${@:4}" >/dev/null 2>"$1.log" || { cat "$1.log" >&2; exit 1; }
}
judge() { # RUN FEEDS RESULT
  [ -s "$3.json" ] && return
  "$eliverec" evaluate --run "$1" --feeds "$work/feeds/$2" --json >"$3.partial"
  mv "$3.partial" "$3.json"
}
one() { # SEED
  train "$work/first-$1" first "$1"
  for day in $numbers; do
    judge "$work/first-$1" "$day-day" "$work/stale-$day-$1"
    run=$work/scratch-all-$day-$1
    train "$run" "$day-all" "$1"
    judge "$run" "$day-day" "$run"
  done
  for times in $epochs; do
    previous=$work/first-$1
    for day in $numbers; do
      run=$work/warm-$times-$day-$1
      train "$run" "$day-day" "$1" "training.epochs=$times" --init-from "$previous"
      judge "$run" "$day-day" "$run"
      previous=$run
      run=$work/scratch-day-$times-$day-$1
      train "$run" "$day-day" "$1" "training.epochs=$times"
      judge "$run" "$day-day" "$run"
    done
  done
}
export -f train judge one
export eliverec work experiment epochs common numbers="${tested[*]}"
printf '%s\n' "$@" | xargs -P 2 -I SEED bash -euc 'one SEED'

of() { # METRIC RESULT...
  for result in "${@:2}"; do sed -n "s/.*\"$1\": \([0-9.]*\),*/\1/p" "$result"; done
}
spread='{ s += $1; q += $1 * $1; n++ } END { m = s / n; v = n > 1 ? (q - n * m * m) / (n - 1) : 0; printf "%.4f ± %.4f", m, sqrt(v > 0 ? v : 0) }'
results() { # WAY DAY...
  for day in "${@:2}"; do for seed in $seeds; do echo "$work/$1-$day-$seed.json"; done; done
}
seeds="$*"
header="| $(basename "$experiment" .toml) $common | updates |" rule="| --- | ---: |"
for day in "${tested[@]}"; do header="$header gauc_user ${days[day + 1]} |" rule="$rule ---: |"; done
echo "$header gauc_user | auc | logloss |"
echo "$rule ---: | ---: | ---: |"
for way in stale $(printf 'warm-%s ' $epochs) $(printf 'scratch-day-%s ' $epochs) scratch-all; do
  updates=-
  if [ "$way" != stale ]; then
    updates=$(for day in "${tested[@]}"; do grep -c '"kind":"step"' "$work/$way-$day-$1/metrics.jsonl"; done | sort -n | sed -n '1p;$p' | uniq | paste -sd - | sed 's/-/ to /')
  fi
  row="| $way | $updates |"
  for day in "${tested[@]}"; do row="$row $(of gauc_user $(results "$way" "$day") | awk "$spread") |"; done
  for metric in gauc_user auc logloss; do row="$row $(of $metric $(results "$way" "${tested[@]}") | awk "$spread") |"; done
  echo "$row"
done
echo
echo "| difference | gauc_user | ahead | auc | ahead |"
echo "| --- | ---: | ---: | ---: | ---: |"
for times in $epochs; do
  for way in stale "scratch-day-$times" scratch-all; do
    row="| warm-$times - $way |"
    for metric in gauc_user auc; do
      differences=$(paste <(of $metric $(results "warm-$times" "${tested[@]}")) <(of $metric $(results "$way" "${tested[@]}")) | awk '{ print $1 - $2 }')
      row="$row $(awk "$spread" <<<"$differences") | $(awk '$1 > 0 { n++ } END { print n + 0 " of " NR }' <<<"$differences") |"
    done
    echo "$row"
  done
done
