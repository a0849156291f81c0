#!/usr/bin/env bash
# The small variants of the experiments in configs/, on the original files where those are at hand:
# every arm and seed runs, in at most a minute of CPU time with warm kernels, and can be compared.
. "$(dirname "$0")/common.sh"
configs=$TANDEM_SOURCE_DIR/configs
originals=${TANDEM_DATA_DIR:-/nowhere}
ran=0

run 0 devices
grep -qE '^0 ' .out || { echo "SKIPPED: no OpenCL platform"; exit 77; }

# small NAME DATA RUNS BASELINE: configs/NAME/experiment-small.yaml
small() {
    last="experiment $1/experiment-small.yaml"
    # The first call compiles kernels, which only has to be done once on a machine.
    run 0 experiment "$configs/$1/experiment-small.yaml" --set "data.path=$2" --set experiment.seeds=0 \
        --set train.fast_dev_run=true --output "warm-$1" --jobs 2 --progress none
    TIMEFORMAT='%U %S'
    { time "$tandem" experiment "$configs/$1/experiment-small.yaml" --set "data.path=$2" --output "$1" \
        --jobs 2 --json > .out 2> .err; } 2> .time || fail "it failed"
    same "$(grep -o '"status": "done", "exit": 0' .out | wc -l)" "$3"
    awk -v what="$1" '{ printf "%s: %.1f s of CPU time\n", what, $1 + $2; exit $1 + $2 > 60 }' .time ||
        fail "takes more than a minute: $(cat .time)"
    run 0 runs compare "$1" --baseline "$4"
    out "metric (test)"
    grep -qE "^[a-z0-9_.]+ +$4 " .out || fail "the baseline is not the first arm"
    ran=1
}

if [ -d /usr/share/datasets/fashion-mnist ]; then
    run 0 data import fashion-mnist /usr/share/datasets/fashion-mnist --out fashion
    small fashion-mnist fashion 18 equal
fi
if [ -d "$originals/cifar-10" ]; then
    run 0 data import cifar10 "$originals/cifar-10" --out cifar
    small cifar10 cifar 8 setting-1
fi
if [ -d "$originals/oxpet-h5" ]; then
    small pets "$originals/oxpet-h5" 20 target-only
fi
[ $ran = 1 ] || { echo "SKIPPED: no data"; exit 77; }
exit 0
