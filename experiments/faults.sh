#!/usr/bin/env bash
# The tests of faults and of parity at the sizes that the service is judged by; in the suite they are small. Prints what each tells.
#   experiments/faults.sh [CARGO ARGUMENTS, such as --release]
set -euo pipefail
cd "$(dirname "$0")/.."
arguments=("$@")
tests() { # VARIABLE=VALUE TARGET TEST
  echo "\$ $1 cargo test ${arguments[*]} --workspace --test $2 $3"
  env "$1" cargo test --quiet "${arguments[@]}" --workspace --test "$2" "$3" -- --nocapture --test-threads 1 2>&1 \
    | grep -E 'kills|swaps|refused|recovered|requests|test result'
}
tests ELIVEREC_KILLS=50 it serving::restarts
tests ELIVEREC_KILLS=20 it serving::days
tests ELIVEREC_KILLS=20 it serving::bundles
tests ELIVEREC_SWAPS=100 it serving::bundles
tests ELIVEREC_CORRUPTIONS=1000 it serving::damage
tests ELIVEREC_CORRUPTIONS=1000 state corruption
tests ELIVEREC_PARITY_USERS=8500 it serving::parity
