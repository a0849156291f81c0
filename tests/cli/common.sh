#!/usr/bin/env bash
# common.sh: what the command-line tests share. Each test is `bash test_x.sh TANDEM MAKE_DATA`.
#
#     run 2 train missing.yaml      runs tandem in $dir, wants exit code 2
#     err 'no such file'            stderr of that run must contain the text; `out`: stdout
#     no_err 'text'                 and must not
#
# The first wrong answer ends the test with everything the command said.
set -u
tandem=$1
make_data=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
unset TANDEM_DEVICE NO_COLOR
last=

fail() {
    echo "FAILED: $1"
    echo "command: tandem $last"
    echo "--- stdout"; cat "$dir/.out"
    echo "--- stderr"; cat "$dir/.err"
    exit 1
}

# run CODE ARGUMENT...
run() {
    local want=$1
    shift
    last=$*
    "$tandem" "$@" > "$dir/.out" 2> "$dir/.err"
    local got=$?
    [ $got -eq "$want" ] || fail "exit code $got instead of $want"
}

out() { grep -qF -- "$1" "$dir/.out" || fail "stdout lacks: $1"; }
err() { grep -qF -- "$1" "$dir/.err" || fail "stderr lacks: $1"; }
no_out() { ! grep -qF -- "$1" "$dir/.out" || fail "stdout has: $1"; }
no_err() { ! grep -qF -- "$1" "$dir/.err" || fail "stderr has: $1"; }
silent() { [ ! -s "$dir/.err" ] || fail "stderr is not empty"; }
no_data() { [ ! -s "$dir/.out" ] || fail "stdout is not empty"; }
exists() { [ -e "$1" ] || fail "$1 is not there"; }
absent() { [ ! -e "$1" ] || fail "$1 is there"; }
same() { [ "$1" = "$2" ] || fail "'$1' is not '$2'"; }

# A configuration of two tasks that trains in a second or two: small_config FILE DATA
small_config() {
    cat > "$1" << END
name: small
seed: 3
data: {path: $2, val_count: 16}
model: {trunk: layers, layers: ["conv 8 k3 p1", relu, "max-pool 2"]}
tasks:
  class: {loss: cross-entropy, target: labels, layers: [flatten, dense classes]}
  copy: {loss: l1, target: images, layers: ["conv-transpose channels k2 s2"]}
optim: {kind: adam, lr: 0.01}
train: {epochs: 2, batch_size: 16}
END
}
