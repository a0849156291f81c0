#!/usr/bin/env bash
# Training, evaluating and timing a small network; what is left behind and what is not.
. "$(dirname "$0")/common.sh"

run 0 devices
grep -qE '^0 ' .out || { echo "SKIPPED: no OpenCL platform"; exit 77; }
"$make_data" good data || exit 1
small_config a.yaml data

# --dry-run tells everything and leaves nothing
before=$(ls -A)
run 0 train a.yaml --dry-run --output run
out "class"
out "copy"
err "device "
same "$(ls -A)" "$before"

# a run: chatter on stderr, the table on stdout, the files of the contract
run 0 train a.yaml --output run
err "device "
err "epoch 1/2 train"
err "epoch 2/2 val"
err "run folder: run"
out "accuracy"
grep -qE '^class +[0-9.]+ ' .out || fail "no row of results for the task class"
grep -qE '^copy +[0-9.]+ ' .out || fail "no row of results for the task copy"
no_err $'\r'
for file in config.yaml metrics.jsonl summary.json last.safetensors best.safetensors \
    state.safetensors; do
    exists "run/$file"
done
same "$(grep -c '"split": *"train"' run/metrics.jsonl)" 2
run 0 config run/config.yaml

# a run folder is never overwritten
before=$(cksum run/*)
run 2 train a.yaml --output run
err "run: already holds a run"
same "$(cksum run/*)" "$before"
: > file
run 2 train a.yaml --output file
err "file"

# JSON lines instead of the table, and nothing else; quiet
run 0 train a.yaml --output json --json --quiet
silent
same "$(grep -c '^{"epoch"' .out)" 5
same "$(wc -l < .out)" 5
cmp -s .out json/metrics.jsonl || fail "not the lines of metrics.jsonl"
run 0 train a.yaml --output quiet --quiet
silent
out "accuracy"
run 0 train a.yaml --output plain --progress none
err "epoch 1/2 train"

# a bar on request: drawn over and over, gone at the end
run 0 train a.yaml --output bar --progress bar --epochs 1
no_out $'\r'

# limits
run 0 train a.yaml --output dev --fast-dev-run --epochs 50
no_err "epoch 2"
run 0 train a.yaml --output overfit --overfit-batches 1 --epochs 3
no_err "val"
run 0 train a.yaml --output short --epochs 100000 --max-time 1s
err "--max-time is over"
run 0 train a.yaml --resume short --epochs 100000 --max-time 1

# evaluating
run 0 eval run
err "device "
no_out "{"
out "accuracy"
cp .out test.txt
run 0 eval run/best.safetensors --split test
cmp -s .out test.txt || fail "the best checkpoint gives other results than its run"
run 0 eval run --split val --json --quiet
silent
same "$(wc -l < .out)" 1
out '"split"'
run 2 eval run --split other
err "other"
run 3 eval nowhere
err "nowhere"
run 2 eval run --set optim.lrr=1
err "did you mean optim.lr?"

# every sample by itself: a line for each task and number, the same table beside it
run 0 eval run --quiet --per-sample samples.csv
cmp -s .out test.txt || fail "measuring samples changes the results of the split"
same "$(head -1 samples.csv)" $'index,row,task,metric,value\r'
same "$(grep -c ',class,accuracy,[01]'$'\r''$' samples.csv)" "$(grep -c ',copy,loss,' samples.csv)"
run 0 eval run --quiet --per-sample samples.json
same "$(grep -c '^{"index":' samples.json)" "$(grep -c ',copy,loss,' samples.csv)"
run 2 eval run --per-sample samples.txt
err "must end with .csv or .json"
run 3 eval nowhere --per-sample none.csv
absent none.csv
TANDEM_TEST_FAIL_WRITE=100 run 1 eval run --per-sample none.csv
absent none.csv

# each class, and the gain over runs of one task
run 0 eval run --quiet
out "precision"
out 'label \ answer in %'
run 0 train a.yaml --output alone --quiet --epochs 1 --set tasks.copy.enabled=false
run 0 eval run --quiet --baseline class=alone
out "class.accuracy"
out "Delta m per task"
out "Nash-MTL"
out "none for copy"
run 0 eval run --quiet --baseline class=alone --baseline copy=run
no_out "none for"
run 0 eval run --quiet --json --baseline class=alone --baseline copy=run
out '"delta_m": {"per_task":'
out '"confusion":'
run 0 eval run --quiet --baseline class=alone --set 'tasks.class.metrics=[majority]'
err "there is no Delta m"
no_out "Delta m"
run 0 eval run --quiet --set tasks.class.parts=one-vs-rest
out "mean of"
out "parts"
run 0 eval run --quiet --json --set tasks.class.parts=one-vs-rest
out '"parts":'
run 2 eval run --baseline class
err "TASK=RUN"
run 2 eval run --baseline nothing=alone
err "nothing"
run 3 eval run --baseline class=nowhere
err "nowhere"

# a checkpoint of another model, or no checkpoint: every tensor that differs is named
run 2 eval run --set 'model.layers=[conv 9 k3 p1, relu, max-pool 2]'
err "encoder.0.weight: model f32[9,1,3,3], checkpoint [8,1,3,3]"
err "heads.copy.0.weight"
head -c 2000 run/last.safetensors > torn.safetensors
run 3 eval torn.safetensors
err "torn.safetensors"
run 3 train a.yaml --output x --init-from a.yaml
err "a.yaml"

# transfer: what is frozen stands still
run 0 train a.yaml --output frozen --init-from run --freeze 'encoder.*' --set optim.weight_decay=0.1
grep -q '"hash_before": *"\([0-9a-f]*\)", *"hash_after": *"\1"' frozen/summary.json ||
    fail "no proof that frozen tensors stand still"
run 2 train a.yaml --output x --freeze 'nothing.*'
err "nothing.*"

# wrong configurations
run 2 train a.yaml --output x --set tasks.class.target=lables
err "lables"
run 2 train a.yaml --output x --set data.path=
err "data.path"
run 3 train a.yaml --output x --set data.path=nowhere
err "nowhere"
run 4 train a.yaml --output x --device nonesuch
err "nonesuch"
run 3 train a.yaml --resume nowhere
err "nowhere"
run 3 train a.yaml --output x --init-from nowhere
err "nowhere"
absent x

# bad data: named with file and sample, exit 3, before or while training
for kind in nan label empty lengths; do
    "$make_data" $kind "data-$kind" || exit 1
    run 3 train a.yaml --output "run-$kind" --set "data.path=data-$kind"
    err "data-$kind/train"
done

cp -r data data-torn
head -c 4000 data/train.h5 > data-torn/train.h5
run 3 train a.yaml --output x --set data.path=data-torn
err "data-torn/train.h5"
absent x

# a rate that is far too high: exit 5 with the task's name
run 5 train a.yaml --output diverged --set optim.kind=sgd --lr 1e30
err "task '"
err "run folder: diverged"

# timing
run 0 bench step a.yaml --json --set bench.steps=2 --set bench.warmup=1
same "$(wc -l < .out)" 1
err "device "
out '"wall_ms"'
run 0 bench step a.yaml --ops --profile steps.trace --json --set bench.steps=2 --set bench.warmup=1
out '"name": "limits"'
out '"name": "optimizer/'
out '"bound": '
grep -qF '"op":"optimizer"' steps.trace || fail "no owners in the trace"
run 0 bench step a.yaml --set bench.steps=2 --set bench.warmup=1
out 'launches'
out 'host us'
run 0 bench ops --filter scale --json --set bench.steps=1 --set bench.warmup=1
out '"name": "limits"'
out '"share_of_limit"'
out '"wall_ms"'
run 0 bench load a.yaml --json --set bench.steps=4 --set data.workers=2
same "$(wc -l < .out)" 1
out '"samples_per_s"'
no_err "device "
run 0 bench load a.yaml
out "samples/s"
run 2 bench ops --filter nonesuch --json
no_data
err "nonesuch"
run 0 bench conv --shape 1,5,6,3,4 --json
out '"forward/implicit/1x5x6x3->4/3x3"'
out '"error_rms"'
out '"default": true'
run 0 bench conv --shape 2,6,5,3,4,2,2,2,1 --filter data/ --json
out '"data/implicit/2x6x5x3->4/2x2/2"'
run 2 bench conv --shape 1,5,6,3 --json
no_data
err "N,H,W,C,K"
exit 0
