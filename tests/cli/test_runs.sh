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

# conditions: on metrics, what a run says of itself, and the configuration
cat >> exp/deep/better-0/config.yaml <<EOF
optim: {lr: 0.5, kind: sgd}
EOF
run 0 runs list exp --where 'task.class.accuracy > 0.94'
[ "$(wc -l < .out)" -eq 3 ] || fail "not two runs and a heading"
out "exp/deep/better-5"
run 0 runs list exp --where 'arm = base and (seed = 1 or seed >= 6)' --json
out '"exp/base-1"'
out '"exp/base-6"'
no_out '"exp/base-2"'
run 0 runs list exp --where "optim.kind = 'sgd' and optim.lr > 0.4"
[ "$(wc -l < .out)" -eq 2 ] || fail "not one run and a heading"
run 0 runs compare exp --where 'seed < 3'
out "3 pairs are too few to tell"
run 2 runs list exp --where 'task.class.acuracy > 0.5'
err "no run has 'task.class.acuracy'"
err "did you mean 'task.class.accuracy'?"
run 2 runs list exp --where 'seed >'
err "ends where a number or a text is wanted"
run 2 runs list exp --json --csv
err "exclude each other"
run 0 runs list exp --where 'seed = 100 and not seed != 0'
[ "$(wc -l < .out)" -eq 1 ] || fail "not a heading alone"
run 0 runs list exp --csv
same "$(head -1 .out | tr -d '\r')" "path,arm,seed,stopped,epochs,seconds,task.class.loss,task.class.accuracy"
same "$(sed -n 2p .out | tr -d '\r')" "exp/base-0,base,0,epochs,5,12.5,0.5,0.8"
run 0 runs show exp/base-3
out "exp/base-3"
out "task.class.accuracy"
run 0 runs show exp/deep/better-0 --json
out '"optim.lr": 0.5'
out '"optim.kind": "sgd"'

# The index: there, of use, never in the way. What its entries say is what the folders say.
exists exp/runs.sqlite
absent exp/base-0/runs.sqlite
run 0 runs list exp
cp .out full
list_is_full() {
    run 0 runs list exp
    cmp -s .out full || fail "the list is another one: $1"
}
rm exp/runs.sqlite*
list_is_full "index removed"
echo "no database at all, but long enough to be taken for a header of one ...................." > exp/runs.sqlite
list_is_full "index overwritten"
list_is_full "index built anew"
head -c 3000 exp/runs.sqlite > cut && cat cut > exp/runs.sqlite
rm -f exp/runs.sqlite-*
list_is_full "index cut off"
list_is_full "index built anew"
dd if=/dev/urandom of=exp/runs.sqlite bs=512 seek=8 count=16 conv=notrunc 2> /dev/null
list_is_full "index with noise inside"
list_is_full "index built anew"
rm -rf exp/runs.sqlite*
mkdir exp/runs.sqlite # cannot be opened at all
list_is_full "a folder in its place"
rmdir exp/runs.sqlite
TANDEM_TEST_FAIL_WRITE=1 list_is_full "full disk"
(ulimit -f 1; exec "$tandem" runs list exp 2> /dev/null) | cat > limited
cmp -s limited full || fail "the list is another one: limited files"
if [ "$(id -u)" -ne 0 ]; then
    chmod a-w exp && rm -f exp/runs.sqlite*
    list_is_full "folder that cannot be written"
    chmod u+w exp
fi
# locked by another process for longer than anybody would wait
cat > lock.py << 'EOF'
import sqlite3, sys, time
db = sqlite3.connect("exp/runs.sqlite")
db.execute("PRAGMA locking_mode=EXCLUSIVE")
db.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
EOF
if command -v python3 > /dev/null; then # without it that much less is tested
    list_is_full "index there"
    mkfifo go
    python3 lock.py < go > locked 2> /dev/null &
    exec 7> go
    for ((i = 0; i < 200; i++)); do grep -q locked locked 2> /dev/null && break; sleep 0.05; done
    touch exp/base-0/summary.json # something to write
    list_is_full "index locked"
    exec 7>&-
    wait
fi

# a changed run is read again, a removed one forgotten
make_run exp/base-0 base 0 "0.79"
run 0 runs list exp --where 'task.class.accuracy < 0.8'
[ "$(wc -l < .out)" -eq 2 ] || fail "the changed run is not found"
make_run exp/base-0 base 0 "0.80"
mv exp/base-1 away
run 0 runs list exp
[ "$(wc -l < .out)" -eq 14 ] || fail "the removed run is still there"
mv away exp/base-1

# many at once on one index
for i in 1 2 3 4 5 6 7 8; do
    rm -f exp/runs.sqlite
    "$tandem" runs list exp > "many-$i" 2>&1 &
done
wait
for i in 1 2 3 4 5 6 7 8; do cmp -s "many-$i" full || fail "call $i at once: $(cat "many-$i")"; done

# rm: lists, asks, removes run folders only, and follows no links
run 2 runs rm exp --where 'arm = better and seed = 6'
out "exp/deep/better-6"
err "--yes removes these 1"
exists exp/deep/better-6/config.yaml
run 0 runs rm exp --where 'arm = better and seed = 6' --yes
absent exp/deep/better-6
run 0 runs rm exp/base-6 --yes
absent exp/base-6
mkdir elsewhere && make_run elsewhere/kept base 9 0.5
ln -s ../elsewhere/kept exp/linked
ln -s ../elsewhere exp/linked-folder
run 3 runs rm exp --where 'seed = 9' --yes
err "is a link, which is not followed"
run 3 runs rm exp/linked --yes
err "is a link, which is not followed"
run 3 runs rm exp/linked/ --yes
err "is a link, which is not followed"
exists elsewhere/kept/config.yaml
rm exp/linked exp/linked-folder
ln -s ../../elsewhere/kept/config.yaml exp/base-5/linked
run 0 runs rm exp/base-5 --yes
exists elsewhere/kept/config.yaml
run 3 runs rm empty --yes
err "no runs"
mkdir held && make_run held/run base 1 0.5
exec 8> held/run.lock && flock 8
run 3 runs rm held --yes
err "is being trained"
exec 8>&-
run 0 runs rm held --yes
absent held/run
