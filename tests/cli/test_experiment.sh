#!/usr/bin/env bash
# `tandem experiment`: the plan, all runs, what is done again and what is not, failures, Ctrl-C.
. "$(dirname "$0")/common.sh"

run 0 devices
grep -qE '^0 ' .out || { echo "SKIPPED: no OpenCL platform"; exit 77; }
"$make_data" good data || exit 1
small_config base.yaml data
cat > exp.yaml << END
name: demo
experiment:
  base: base.yaml
  seeds: [0, 1]
  baseline: equal
  arms:
    equal: {}
    fixed:
      set: {balance.kind: fixed}
      points: {tasks.class.weight: [0.2, 0.8], tasks.copy.weight: [0.8, 0.2]}
    rates:
      grid: {optim.lr: [0.01, 0.001], optim.kind: [sgd, adam]}
END

# Arms, points and seeds, without a trace on disk.
run 0 experiment exp.yaml --dry-run
out "7 arms x 2 seeds = 14 runs, 0 done"
out "fixed@tasks.class.weight=0.2,tasks.copy.weight=0.8 "
out "rates@optim.lr=0.001,optim.kind=sgd "
out "no estimate of the time yet"
absent experiments
run 0 experiment exp.yaml --dry-run --json
out '"arm": "rates@optim.lr=0.01,optim.kind=adam", "seed": 1, "folder": "runs/rates@optim.lr=0.01,optim.kind=adam/seed-1"'
out '"name": "fixed@tasks.class.weight=0.2,tasks.copy.weight=0.8", "group": "fixed", "config": "base.yaml", "set": {"balance.kind": "fixed"}, "grid": {"tasks.class.weight": 0.2, "tasks.copy.weight": 0.8}'

# What is wrong is said before anything runs.
run 2 experiment exp.yaml --set experiment.baseline=equql
err "no such arm: there are equal, fixed@"
err "did you mean 'equal'?"
run 2 experiment exp.yaml --set experiment.arms.fixed.set.optim.ll=1
err "arm fixed@"
err "unknown key"
run 2 experiment exp.yaml --set 'experiment.arms.fixed.points.tasks.copy.weight=[1]'
err "tasks.class.weight has 2 values and tasks.copy.weight 1: they change together"
run 2 experiment exp.yaml --set experiment.seeds=1,1
err "1 is there twice"
run 2 experiment base.yaml
err "base.yaml:2:1"
run 2 experiment exp.yaml --jobs 0
err "must be 1 to 1024"
run 2 experiment exp.yaml --keep-finished --redo
err "exclude each other"
absent experiments

# All of it, two at once; the folders are those of `tandem train`.
two=(--set train.epochs=1 --output e)
run 0 experiment exp.yaml "${two[@]}" --jobs 2 --json
out '"format": "tandem-experiment-1", "name": "demo"'
same "$(grep -o '"status": "done", "exit": 0' .out | wc -l)" 14
exists e/experiment.yaml
exists e/experiment.json
run 0 runs list e
same "$(grep -c ' epochs  *class' .out)" 14
run 0 runs compare e --baseline equal
out "class.accuracy"
grep -q "^name: equal" e/runs/equal/seed-0/config.yaml || fail "the arm is not the run's name"
"$tandem" train base.yaml --epochs 1 --seed 1 --output alone > /dev/null 2>&1 || fail "train"
same "$(cksum < alone/best.safetensors)" "$(cksum < e/runs/equal/seed-1/best.safetensors)"

# Finished runs are not done again; one that is missing is; changed ones are a question.
before=$(ls -i e/runs/*/*/summary.json)
run 0 experiment exp.yaml "${two[@]}"
err "nothing is left to do"
same "$(ls -i e/runs/*/*/summary.json)" "$before"
rm -r e/runs/equal/seed-1 e/experiment.json
run 0 experiment exp.yaml "${two[@]}"
err "14 runs, 13 done"
err "the rest takes about"
same "$(ls -i e/runs/*/*/summary.json | grep -v equal)" "$(echo "$before" | grep -v equal)"
run 2 experiment exp.yaml "${two[@]}" --set train.batch_size=8
err "14 finished runs are of another configuration or other data than now"
run 0 experiment exp.yaml "${two[@]}" --set train.batch_size=8 --redo --jobs 2 --device cpu
grep -qF -- "--set train.batch_size=8 --device cpu --jobs 2" e/experiment.json || fail "the command is not kept"
run 0 experiment exp.yaml "${two[@]}" --set train.batch_size=8 --dry-run
out "nothing is left to do"

# Another build of the program (here: the same one with a byte more) is not mixed in unasked.
cp "$tandem" other && printf x >> other
real=$tandem
tandem=$dir/other
run 0 experiment exp.yaml "${two[@]}" --set train.batch_size=8
err "14 finished runs were done by another build"
rm -r e/runs/equal/seed-0
run 2 experiment exp.yaml "${two[@]}" --set train.batch_size=8
err "13 finished runs were done by another build of tandem, whose numbers may differ slightly, and 1 runs are left"
err "--keep-finished"
run 0 experiment exp.yaml "${two[@]}" --set train.batch_size=8 --keep-finished
err "equal, seed 0: done"
tandem=$real

# A failing arm costs only itself.
cat > failing.yaml << END
name: failing
experiment:
  base: base.yaml
  set: {train.epochs: 1}
  arms:
    diverging: {set: {optim.kind: sgd, optim.lr: 1.0e+30}}
    good: {}
END
run 5 experiment failing.yaml
err "diverging, seed 0: failed with exit code 5: "
err "good, seed 0: done"
err "1 of 2 runs failed; the first is diverging, seed 0"
grep -q '"arm": "good", .*"status": "done"' experiments/failing/experiment.json || fail "good is not done"
grep -q '"status": "failed", "exit": 5, .*"error": "[^"]' experiments/failing/experiment.json || fail "no error"
run 5 experiment failing.yaml
no_err "begins"

# Ctrl-C in the middle: the running ones save, the next call goes on, with the numbers of one call.
tensors() { tail -c "+$(($(od -An -tu8 -N8 "$1") + 9))" "$1" | cksum; }
long=(--set train.epochs=40 --set experiment.arms.rates.grid.optim.lr=0.01 --output long)
last="experiment (then SIGINT)"
"$tandem" experiment exp.yaml "${long[@]}" --jobs 2 > .out 2> .err &
parent=$!
for ((i = 0; i < 1200; i++)); do
    grep -qs '"epoch": 3,' long/runs/equal/seed-0/metrics.jsonl && break
    sleep 0.05
done
kill -INT $parent
wait $parent
same $? 130
err "equal, seed 0: stopped and saved"
err "the same command goes on"
grep -q '"arm": "equal", "seed": 0, .*"status": "stopped"' long/experiment.json || fail "not stopped"
run 0 experiment exp.yaml "${long[@]}" --set experiment.seeds=0
err "equal, seed 0: goes on"
"$tandem" train base.yaml --epochs 40 --seed 0 --output whole > /dev/null 2>&1 || fail "train"
same "$(tensors whole/last.safetensors)" "$(tensors long/runs/equal/seed-0/last.safetensors)"
# Killed at random points, nothing softened: the children save by themselves, the next call waits for
# them and goes on; in the end the runs are those of an experiment that was left alone.
hard=(--set train.epochs=12 --set experiment.arms.rates.grid.optim.lr=0.01 --jobs 2)
run 0 experiment exp.yaml "${hard[@]}" --output calm
for pause in 0.3 0.9 0.5 1.3; do
    "$tandem" experiment exp.yaml "${hard[@]}" --output rough > .out 2> .err &
    parent=$!
    sleep $pause
    kill -KILL $parent 2> /dev/null
    wait $parent 2> /dev/null
done
run 0 experiment exp.yaml "${hard[@]}" --output rough
same "$(cd rough && ls -d runs/*/*/)" "$(cd calm && ls -d runs/*/*/)"
results() { grep -v '"split": *"train"' "$1" | sed 's/"seconds".*"samples"/"samples"/'; }
for folder in calm/runs/*/*/; do
    other=rough${folder#calm}
    same "$(tensors "$other/last.safetensors")" "$(tensors "$folder/last.safetensors")"
    same "$(results "$other/metrics.jsonl")" "$(results "$folder/metrics.jsonl")"
done
same "$(find rough -name '*.lock' ! -path rough/.lock)" ""

# An arm with stages is one run that goes through all of them. Killed in the second, it goes on
# there; settings reach single stages; its result is the last stage's.
cat > staged.yaml << END
name: staged
experiment:
  base: base.yaml
  set: {train.epochs: 60}
  arms:
    plain: {set: {tasks.copy.enabled: false}}
    before: {config: stages.yaml, set: {stages.copy.train.epochs: 2}}
END
cat > stages.yaml << END
extends: base.yaml
stages:
  copy: {tasks: {class: {enabled: false}}}
  class: {from: copy, tasks: {copy: {enabled: false}}}
END
run 0 experiment staged.yaml --output calm-stages
err "before, seed 0: done"
run 0 runs compare calm-stages --baseline plain
out "class.accuracy: before "
no_out "copy."
same "$(grep -c '"split": *"train"' calm-stages/runs/before/seed-0/copy/metrics.jsonl)" 2
same "$(grep -c '"split": *"train"' calm-stages/runs/before/seed-0/metrics.jsonl)" 60
"$tandem" experiment staged.yaml --output rough-stages --jobs 2 > .out 2> .err &
parent=$!
for ((i = 0; i < 1200; i++)); do
    grep -qs '"epoch": 3,' rough-stages/runs/before/seed-0/class/metrics.jsonl && break
    sleep 0.05
done
kill -KILL $parent
wait $parent 2> /dev/null
begun=$(ls -i rough-stages/runs/before/seed-0/copy/summary.json)
run 0 experiment staged.yaml --output rough-stages
err "before, seed 0: goes on"
grep -q "copy: done before, nothing changed" rough-stages/runs/before/seed-0/log.txt || fail "the first stage ran again"
same "$(ls -i rough-stages/runs/before/seed-0/copy/summary.json)" "$begun"
for stage in copy class; do
    same "$(tensors rough-stages/runs/before/seed-0/$stage/last.safetensors)" \
        "$(tensors calm-stages/runs/before/seed-0/$stage/last.safetensors)"
done

# Out of time before the last stage: stopped, not failed, and the same command goes on.
for ((i = 0; i < 200; i++)); do
    "$tandem" experiment staged.yaml --output slow-stages --set train.max_time=0.6 2> .err && break
    err "of 2 runs were stopped; the same command goes on"
done
[ "$i" -gt 0 ] || fail "nothing was out of time"
for stage in copy class; do
    same "$(tensors slow-stages/runs/before/seed-0/$stage/last.safetensors)" \
        "$(tensors calm-stages/runs/before/seed-0/$stage/last.safetensors)"
done
run 0 experiment staged.yaml --output rough-stages
err "nothing is left to do"
run 2 experiment staged.yaml --output rough-stages --set experiment.arms.before.set.stages.class.optim.lr=0.02
err "1 finished runs are of another configuration or other data than now"
run 0 report rough-stages --predict --out staged.html
grep -qF "before" staged.html || fail "no arm of stages in the report"
grep -qF "<pre>tandem experiment staged.yaml --output NEW-FOLDER</pre>" staged.html || fail "no command"

# Two at once: on one folder the second is refused; in two folders below one index both work.
"$tandem" experiment exp.yaml "${long[@]}" --output both/first > .first 2>&1 &
first=$!
for ((i = 0; i < 1200; i++)); do [ -e both/first/experiment.json ] && break; sleep 0.05; done
run 1 experiment exp.yaml "${long[@]}" --output both/first
err "another process works on this experiment"
"$tandem" experiment exp.yaml "${two[@]}" --output both/second > .second 2>&1 &
second=$!
for i in 1 2 3; do "$tandem" runs list both > /dev/null 2>&1; done
wait $second || fail "the second: $(cat .second)"
kill -TERM $first
wait $first
same $? 143
run 0 runs list both/second
same "$(grep -c ' epochs  *class' .out)" 14

# A full disk: an error that says so, and no harm; afterwards it goes on.
TANDEM_TEST_FAIL_WRITE=2000 run 1 experiment exp.yaml "${two[@]}" --output full
err "No space left on device"
run 0 experiment exp.yaml "${two[@]}" --output full
same "$(tensors full/runs/equal/seed-0/last.safetensors)" "$(tensors both/second/runs/equal/seed-0/last.safetensors)"

# What a run records of where it came from.
if command -v git > /dev/null; then
    mkdir work && cp base.yaml work && cd work
    git init -q . && git add base.yaml && git -c user.name=a -c user.email=a@b commit -qm a
    "$tandem" train base.yaml --set data.path=../data --epochs 1 --output ../clean > /dev/null 2>&1 || fail "train"
    echo >> base.yaml
    "$tandem" train base.yaml --set data.path=../data --epochs 1 --output ../dirty > /dev/null 2>&1 || fail "train"
    commit=$(git rev-parse HEAD)
    cd ..
    last="train (in a repository)"
    grep -q "\"git\": {\"commit\": \"$commit\", \"dirty\": false}" clean/summary.json || fail "no clean commit"
    grep -q "\"git\": {\"commit\": \"$commit\", \"dirty\": true}" dirty/summary.json || fail "no dirty commit"
fi
"$tandem" train base.yaml --epochs 1 --output plain > /dev/null 2>&1 || fail "train"
grep -q '"git": null' plain/summary.json || fail "a commit outside of a repository"
grep -q '"data": {"path": "data", "hash": "[0-9a-f]\{32\}", "files": [0-9]*, "bytes": [0-9]*, "samples": {"train": [0-9]*, "val": 16' plain/summary.json || fail "no data"

# A damaged manifest is no loss.
echo '{"format": "tandem-exp' > full/experiment.json
run 0 experiment exp.yaml "${two[@]}" --output full
err "it is written anew from the run folders"
err "nothing is left to do"
exit 0
