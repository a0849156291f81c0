#!/usr/bin/env bash
# `tandem runs`: folders found, listed and compared, whatever state they are in.
. "$(dirname "$0")/common.sh"

# make_run PATH NAME SEED ACCURACY: what a finished run leaves
make_run() {
    mkdir -p "$1"
    echo "name: $2" > "$1/config.yaml"
    : > "$1/metrics.jsonl"
    cat > "$1/summary.json" <<EOF
{"stop_reason": "epochs", "epochs_done": 5, "seconds": 12.5, "seed": $3,
 "test": {"tasks": {"class": {"loss": 0.5, "metrics": {"accuracy": $4}}}}}
EOF
}

for seed in 0 1 2 3 4 5 6; do
    make_run "exp/base-$seed" base $seed "0.8$seed"
    make_run "exp/deep/better-$seed" better $seed "0.9$seed"
done
run 0 runs list exp
out "exp/base-3"
out "exp/deep/better-6"
[ "$(wc -l < .out)" -eq 15 ] || fail "not a line for each run and a heading"
run 0 runs list exp --json
out '"path": "exp/base-0", "name": "base", "state": "epochs", "seed": 0, "epochs": 5, "seconds": 12.5'
out '"class.accuracy": 0.8'

# 7 pairs, each 0.1 apart: 2 of 2^7 sign patterns are as far from zero
run 0 runs compare exp
out "class.accuracy: better is higher than base by 0.1 "
out "p = 0.016, adjusted for 1 comparisons: not by chance alone."
out "class.loss: better equals base in every pair (7)."
run 0 runs compare exp --baseline better
out "class.accuracy: base is lower than better by 0.1 "
run 0 runs compare exp --json
out '"permutation": {"statistic": 0.'
out '"p": 0.015625, "exact": true}'
run 0 runs compare exp/base-0 exp/base-1 exp/base-2 exp/deep/better-0 exp/deep/better-1 exp/deep/better-2
out "3 pairs are too few to tell: the exact test cannot go below p = 0.25."
run 0 runs compare exp/base-0 exp/deep/better-0
out "in the one pair there is: that tells nothing about other seeds."
run 0 runs compare exp/base-0 exp/deep/better-1
out "have no seed in common"
run 3 runs compare exp --baseline worse
err "no run with test metrics is called 'worse'"

# the same run twice is one run; another run of its seed is an error
run 0 runs compare exp/base-0 exp/base-0
make_run again base 0 0.5
run 3 runs compare exp again
err "base: seed 0 twice: "

# unfinished, damaged, without numbers
mkdir -p bad/unfinished bad/damaged bad/nan
echo "name: u" | tee bad/unfinished/config.yaml bad/damaged/config.yaml > bad/nan/config.yaml
touch bad/{unfinished,damaged,nan}/metrics.jsonl
echo '{"stop_reason": ' > bad/damaged/summary.json
echo '{"stop_reason": "epochs", "seed": "x", "test": [1, {"tasks": 3}]}' > bad/nan/summary.json
run 0 runs list bad
out "unfinished"
out "damaged"
out "bad/damaged/summary.json"
run 0 runs list bad --json
out '"state": "damaged", "trouble": '
run 3 runs compare bad
err "3 runs: none has test metrics"
run 3 runs list nowhere
err "nowhere: no such folder"
run 3 runs list exp/base-0/..//deep/better-0/none
err "no such folder"
mkdir empty
run 3 runs list empty
err "empty: no runs"
run 2 runs compare
err "RUN"
