#!/usr/bin/env bash
# Help, versions, and every way to get the command line wrong: exit 2, one line that says what and
# one that says where to read on.
. "$(dirname "$0")/common.sh"

commands="devices|data import|data info|train|eval|config|bench step|bench ops|bench conv|bench load|bench tune|runs list|runs compare"

run 0 --version
out "tandem "
run 0 --help
silent
while read -r command; do out "  $command"; done <<< "${commands//|/$'\n'}"
while read -r command; do
    # shellcheck disable=SC2086
    run 0 $command --help
    silent
    out "usage: tandem $command"
    out "--help"
    [ "$(awk 'length > 80' .out)" = "" ] || fail "help is wider than 80 columns"
    # shellcheck disable=SC2086
    run 2 $command --no-such-option
    no_data
    err "tandem: error: $command: unknown option --no-such-option"
    err "see \`tandem $command --help\`"
    [ "$(wc -l < .err)" -eq 2 ] || fail "not two lines"
done <<< "${commands//|/$'\n'}"

run 2
err "a command is missing"
run 2 trian
err "unknown command \`trian\` (did you mean \`train\`?)"
run 2 zzzzzz
err "unknown command \`zzzzzz\`"
no_err "did you mean"
run 2 --versoin
err "unknown option"
run 2 data
err "data: its command is missing"
run 2 data imprt
err "did you mean \`data import\`?"
run 0 data --help
out "data import"
out "data info"
no_out "devices"
run 2 bench stp
err "did you mean \`bench step\`?"

run 2 devices --jsn
err "unknown option --jsn (did you mean --json?)"
run 2 devices -x
err "unknown option -x"
run 2 devices one
err "one argument too many: one"
run 2 devices --json=yes
err "--json takes no value"
run 2 train
err "CONFIG is missing"
run 2 train a.yaml b.yaml
err "one argument too many: b.yaml"
run 2 train a.yaml --seed
err "--seed needs N"
run 2 train a.yaml --de cpu
err "--de could be --device, --device-type"
run 2 train a.yaml --progress fast
err "--progress fast: must be auto, bar, plain or none"
run 2 train no/such.yaml
err "no/such.yaml"
run 2 eval
err "RUN|CHECKPOINT is missing"
run 2 config
err "CONFIG is missing"
run 2 data import fashion-mnist
err "SRC is missing"
run 2 data import fashion-mnist src
err "--out DIR is missing"

# Output that cannot be written is a failure; a reader that leaves is none worth a message.
"$tandem" --help > /dev/full 2> .err
same $? 1
err "stdout: No space left on device"
"$tandem" config --defaults 2> .err | head -n 1 > .out
silent
exit 0
