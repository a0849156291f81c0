#!/usr/bin/env bash
# Training in stages: their order, what is run again and what is not, what is loaded, and that a
# pipeline killed at any moment goes on to the same bits.
. "$(dirname "$0")/common.sh"

run 0 devices
grep -qE '^0 ' .out || { echo "SKIPPED: no OpenCL platform"; exit 77; }
"$make_data" good data || exit 1
small_config a.yaml "$dir/data"

stages() { # stages FILE: two stages on the small network, and a baseline
    cat > "$1" << END
extends: $dir/a.yaml
name: pipe
pipeline: {baseline: alone}
stages:
  alone: {tasks: {copy: {enabled: false}}}
  second:
    from: first
    tasks: {copy: {enabled: false}}
    train: {freeze: [encoder]}
  first: {tasks: {class: {enabled: false}}, train: {epochs: 1}}
END
}
stages p.yaml

# dry run: every stage in its order, nothing written
before=$(ls -A)
run 0 train p.yaml --dry-run --output run
out "stage 1 of 3: alone"
out "stage 2 of 3: first"
out "stage 3 of 3: second, from first"
same "$(ls -A)" "$before"

# all of it, with the table of what was loaded and the baseline beside the target
run 0 train p.yaml --output run
err "stage 3 of 3: second, from first"
grep -qE 'encoder\.0 +2 +80 +frozen +loaded' .err || fail "no row for the encoder"
grep -qE 'heads\.class\.1 +2 +[0-9]+ +learnt +new' .err || fail "no row for the new head"
grep -qE 'encoder\.0 +80 +[0-9.]+ +0 +0\.0000 +1\.0000' .err || fail "a frozen layer moved"
grep -qE '^test +second +baseline +difference' .out || fail "no comparison"
grep -qE '^class\.accuracy +[0-9.]+ +[0-9.]+ +[-+][0-9.]+' .out || fail "no accuracy"
for file in config.yaml pipeline.json summary.json metrics.jsonl best.safetensors \
    first/summary.json second/state.safetensors; do
    exists "run/$file"
done
same "$(grep -c '"split": *"train"' run/first/metrics.jsonl)" 1
same "$(grep -c '"split": *"train"' run/second/metrics.jsonl)" 2
grep -q '"hash_before": *"\([0-9a-f]*\)", *"hash_after": *"\1"' run/second/summary.json ||
    fail "no proof that frozen tensors stand still"
run 0 eval run
out "accuracy"

# how far the weights moved, and what the source's task has left
grep -qE '"second".*"moved": *\{"weights": *\{"all": *\{"parameters": *80' run/pipeline.json || fail "no record"
run 0 eval run/first --compare run/second
grep -qE 'encoder\.0 +80 +[0-9.]+ +0 ' .out || fail "no comparison of weights"
run 0 eval run/first --compare run/second --json
out '"layer": "encoder.0"'
run 0 eval run/first --compare run/second --samples 16 --split val
grep -qE 'encoder\.0 +80 .* 1\.0000 +1\.0000$' .out || fail "what a frozen layer gives differs"
run 2 eval run/first --compare run/second --samples few
run 0 eval run/first --json
cp .out own
run 0 eval run/first --trunk run/second --json
same "$(grep -o '"copy".*' .out)" "$(grep -o '"copy".*' own)"
run 0 eval run/first --trunk run/alone --json
[ "$(grep -o '"loss": *[0-9.]*' .out)" != "$(grep -o '"loss": *[0-9.]*' own)" ] ||
    fail "another trunk changes nothing"
run 0 config run/config.yaml

# nothing changed, nothing is run; one stage changed, it and what follows from it is
run 0 train p.yaml --output run
err "first: done before, nothing changed"
err "second, from first: done before, nothing changed"
grep -q '"moved"' run/pipeline.json || fail "the record is gone"
no_err "epoch 1"
out "baseline"
run 0 train p.yaml --output run --set stages.first.optim.lr=0.02
err "stage 'first': its configuration changed"
err "alone: done before, nothing changed"
err "stage 'second': the weights it begins with changed"
run 0 train p.yaml --output run --set stages.first.optim.lr=0.02 --from second
err "first: done before"
same "$(grep -c 'epoch 2/2 train' .err)" 1

# measures that are asked for; a trunk that learns forgets
run 0 train p.yaml --output measured --set 'transfer.measure=[cka, forgetting]' \
    --set stages.second.train.freeze=[] --set stages.second.optim.lr=0.1
grep -qE '"weights".*"cka": .*"forgetting": .*"before": .*"after": ' measured/pipeline.json ||
    fail "no measures in the record"
grep -qE '^ +copy\.l1 +[0-9.]+ +[0-9.]+ +[-+][0-9.]+' .err || fail "no table of what was forgotten"
run 2 train p.yaml --output x --set 'transfer.measure=[cca]'
err "must be cka or forgetting"
absent x

# what a flag says holds for every stage, over what the file says of one
run 0 train p.yaml --output flags --epochs 3
same "$(grep -c 'epoch 3/3 train' .err)" 3

# errors
run 2 train p.yaml --output run --from secnd
err "did you mean 'second'"
run 2 train p.yaml --output x --set stages.second.from=frist
err "did you mean 'first'"
run 2 train p.yaml --output x --set stages.first.from=second
err "a cycle: 'first' begins with 'second', which begins with 'first'"
run 2 train p.yaml --output x --set stages.second.optim.lrr=1
err "stages.second: optim.lrr: unknown key (hint: did you mean optim.lr?)"
run 2 train p.yaml --output x --set stages.second.stages.third.from=first
err "stages.second"
run 2 train p.yaml --output x --set pipeline.baseline=alnoe
err "did you mean 'alone'"
run 2 train p.yaml --output x --set stages.first.train.save_model=false
err "stage 'second' begins with the weights of 'first'"
absent x
for rule in 'freeze=[encodr]' 'load.skip=[heads.cpy]' 'load.rename=[encodr -> encoder]' \
    'load.reinit=[heads.clas]'; do
    key=${rule%%=*}
    run 2 train p.yaml --output x --set "stages.second.${key/freeze/train.freeze}=${rule#*=}"
    err "matches nothing"
    err "did you mean"
    rm -rf x
done
run 2 train p.yaml --output x --set 'stages.second.model.layers=[conv 9 k3 p1, relu, max-pool 2]'
err "shapes differ: encoder.0.weight: model f32[9,1,3,3], checkpoint [8,1,3,3]"
rm -rf x
run 2 train p.yaml --output x --set stages.second.load.mismatch=skip --set stages.second.train.freeze=[] \
    --set 'stages.second.model.layers=[conv 9 k3 p1, relu, max-pool 2]'
err "none of its 4 tensors is in the model"
rm -rf x
run 0 train p.yaml --output x --set stages.second.model.prefix=trunk \
    --set 'stages.second.load.rename=[encoder -> trunk]' --set stages.second.train.freeze=[trunk]
grep -qE 'trunk\.0 +2 +80 +frozen +renamed from encoder\.0' .err || fail "nothing renamed"
rm -rf x
mkdir -p y/first && : > y/first/mine
run 2 train p.yaml --output y
err "y/first: is in the way"
exists y/first/mine
run 2 bench step p.yaml
err "the configuration has stages"

# stopped: not run again without being asked to
run 0 train p.yaml --output stopped --epochs 100000 --max-time 1
err "--max-time is over"
run 2 train p.yaml --output stopped --epochs 100000 --max-time 1
err "--resume goes on with it, --from"

# killed at any moment, and resumed: the same bits
mkdir whole && (cd whole && "$tandem" train ../p.yaml --output run --epochs 3 > ../.out 2> ../.err) ||
    fail "the whole run"
want=$(cat whole/run/second/{best,last}.safetensors whole/run/first/last.safetensors | cksum)
for tenths in 1 2 4 6 8; do
    rm -rf killed && mkdir killed
    (cd killed && exec "$tandem" train ../p.yaml --output run --epochs 3 > ../.out 2> ../.err) &
    pid=$!
    sleep 0.$tenths
    kill -9 $pid 2> /dev/null
    wait $pid 2> /dev/null
    (cd killed && "$tandem" train ../p.yaml --output run --epochs 3 --resume > ../.out 2> ../.err) ||
        fail "resuming after 0.$tenths s"
    got=$(cat killed/run/second/{best,last}.safetensors killed/run/first/last.safetensors | cksum)
    same "$got" "$want"
done
exit 0
