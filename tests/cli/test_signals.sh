#!/usr/bin/env bash
# The first SIGINT or SIGTERM saves and ends with 130 or 143, and the run can go on; a second one
# ends at once; a reader that goes away costs nothing.
. "$(dirname "$0")/common.sh"

run 0 devices
grep -qE '^0 ' .out || { echo "SKIPPED: no OpenCL platform"; exit 77; }
"$make_data" good data || exit 1
small_config a.yaml data

# Waits until $1 holds the text $2, for 5 minutes at most: kernels may have to be compiled first.
await() {
    local i
    for ((i = 0; i < 3000; i++)); do
        grep -qF -- "$2" "$1" 2> /dev/null && return
        sleep 0.1
    done
    cat "$dir/.err"
    fail "waited in vain for '$2' in $1"
}

for pair in INT=130 TERM=143; do
    signal=${pair%=*}
    last="train (then SIG$signal)"
    "$tandem" train a.yaml --output "run-$signal" --epochs 1000000 > .out 2> .err &
    child=$!
    await .err "epoch       2/1000000 train"
    kill "-$signal" $child
    wait $child
    same $? "${pair#*=}"
    err "finishing this step and saving"
    err "the state is saved in run-$signal"
    err "go on with: tandem train a.yaml --resume run-$signal"
    no_err "tandem: error"
    exists "run-$signal/state.safetensors"
    done_epochs=$(grep -c '"split": *"train"' "run-$signal/metrics.jsonl")
    run 0 train a.yaml --resume "run-$signal" --epochs $((done_epochs + 2)) --progress none
    no_err "epoch 1/"
    err "epoch $((done_epochs + 2))/$((done_epochs + 2)) train"
    out "accuracy"
done

# Stopped and continued is the same as never stopped, to the last bit of every tensor. (The headers
# differ: they hold the configurations.)
tensors() { tail -c "+$(($(od -An -tu8 -N8 "$1") + 9))" "$1" | cksum; }
results() { grep -v '"split": *"train"' "$1" | sed 's/"seconds".*"samples"/"samples"/'; }
run 0 train a.yaml --output whole --epochs 6
run 0 train a.yaml --output parts --epochs 6 --max-time 0.1
for i in 1 2 3 4 5 6; do run 0 train a.yaml --resume parts --epochs 6 --max-time 0.01; done
run 0 train a.yaml --resume parts --epochs 6
same "$(tensors parts/last.safetensors)" "$(tensors whole/last.safetensors)"
same "$(results parts/metrics.jsonl)" "$(results whole/metrics.jsonl)"

# The same after a kill that nothing can soften, and after a disk that was full while saving.
last="train (then SIGKILL)"
"$tandem" train a.yaml --output killed --epochs 2000 --set train.checkpoint_steps=3 > .out 2> .err &
child=$!
await .err "epoch    2/2000 train"
kill -KILL $child
wait $child 2> /dev/null
same $? 137
done_epochs=$(grep -c '"split": *"train"' killed/metrics.jsonl)
"$tandem" eval killed > /dev/null 2> .err || fail "the killed run's checkpoint cannot be read"
run 0 train a.yaml --resume killed --epochs $((done_epochs + 3)) --set train.checkpoint_steps=3
run 0 train a.yaml --output unharmed --epochs $((done_epochs + 3))
same "$(tensors killed/last.safetensors)" "$(tensors unharmed/last.safetensors)"
same "$(results killed/metrics.jsonl)" "$(results unharmed/metrics.jsonl)"
before=$(cksum whole/state.safetensors)
TANDEM_TEST_FAIL_WRITE=20000 run 1 train a.yaml --resume whole --epochs 9
err "No space left on device"
same "$(cksum whole/state.safetensors)" "$before"
run 0 train a.yaml --resume whole --epochs 9
run 0 train a.yaml --output nine --epochs 9
same "$(tensors whole/last.safetensors)" "$(tensors nine/last.safetensors)"

# The second signal does not wait. (The process stands still between the two, so that the first
# cannot have had its effect.)
last="train (then two signals)"
"$tandem" train a.yaml --output twice --epochs 1000000 > .out 2> .err &
child=$!
await .err "epoch       1/1000000 train"
kill -STOP $child
kill -TERM $child
kill -INT $child
kill -CONT $child
wait $child
code=$?
[ $code -eq 130 ] || [ $code -eq 143 ] || fail "exit code $code"
no_err "the state is saved"

# `train | tee` loses tee before it has finished: it still trains to the end.
"$tandem" train a.yaml --output pipe --json 2> .err | true
exists pipe/summary.json
exit 0
