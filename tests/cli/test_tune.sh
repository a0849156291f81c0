#!/usr/bin/env bash
# bench tune: what it writes, that training reads it and says so, and that runs with the same choices
# give the same bits.
. "$(dirname "$0")/common.sh"
unset TANDEM_TUNE

run 0 devices
grep -qE '^0 ' .out || { echo "SKIPPED: no OpenCL platform"; exit 77; }
"$make_data" good data || exit 1
small_config a.yaml data

# measuring: two algorithms at least for each shape, exactly one of them chosen
run 0 bench tune a.yaml --out tune.json --json
err "measuring 1 of"
err "tune.json"
out '"name": "conv2d|'
out '|implicit"'
out '"chosen": true'
shapes=$(grep -c '"algorithm"' tune.json)
same "$(grep -c '"chosen": true' .out)" "$shapes"
grep -q '"kernels"' tune.json || fail "the kernels are not named"
run 0 bench tune a.yaml --out tune.json
out "chosen"
same "$(grep -c '"algorithm"' tune.json)" "$shapes"

# in the cache folder it is found by itself; its hash is in the run folder
run_hash() { tr -d ' \n' < "$1/summary.json" | grep -o '"tuning":{[^}]*}' | grep -o '"hash":"[0-9a-f]*"'; }
export TANDEM_CACHE_DIR=$dir/cache
run 0 bench tune a.yaml
exists "$(echo cache/tune/*.json)"
run 0 train a.yaml --output auto
no_err "tuning file not used"
exists auto/tuning.json
[ -n "$(run_hash auto)" ] || fail "no hash in summary.json"

# the run folder's copy repeats the run, whatever the cache holds by then
rm -r cache/tune
run 0 train a.yaml --output again --set tune.file=auto/tuning.json
same "$(run_hash again)" "$(run_hash auto)"
cmp -s auto/tuning.json again/tuning.json || fail "tuning.json differs"
weights() { tail -c 2000 "$1/last.safetensors" | cksum; }
same "$(weights again)" "$(weights auto)"
TANDEM_TUNE=auto/tuning.json run 0 train a.yaml --output env
same "$(run_hash env)" "$(run_hash auto)"

# off, wrong and stale files
run 0 train a.yaml --output off --set tune.file=off
absent off/tuning.json
same "$(run_hash off)" ""
head -c 100 auto/tuning.json > torn.json
run 0 train a.yaml --output torn --set tune.file=torn.json
same "$(grep -c 'tuning file not used' .err)" 1
err "torn.json"
same "$(weights torn)" "$(weights off)"
sed 's/"hash": "[0-9a-f]*"/"hash": "0"/' auto/tuning.json > stale.json
run 0 eval torn --set tune.file=stale.json
same "$(grep -c 'tuning file not used' .err)" 1
err "another device"

# going on with other algorithms is said
run 0 train a.yaml --output part --set tune.file=off --epochs 1
run 0 train a.yaml --output part --set tune.file=auto/tuning.json --epochs 2 --resume
err "another choice of algorithms"

# by hand
run 0 train a.yaml --output forced --set 'tune.force=[conv2d*=implicit]' --fast-dev-run
run 2 train a.yaml --output x --set 'tune.force=[conv2d=nonesuch]'
err "conv2d has no algorithm 'nonesuch'"
absent x

# bench conv takes for the default what training would take
conv_default() { run 0 bench conv --shape 1,9,9,16,16 --filter forward --default-only --json "$@"; }
conv_default --set 'tune.force=[conv2d=implicit]'
out "forward/implicit"
conv_default --set tune.file=off --set 'tune.force=[conv2d=clblast-im2col]'
out "forward/clblast-im2col"
exit 0
