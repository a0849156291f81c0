#!/usr/bin/env bash
# How a configuration is put together, and what is said about mistakes in it.
. "$(dirname "$0")/common.sh"

small_config a.yaml data
cat > b.yaml << 'END'
extends: a.yaml
train: {epochs: 7}
device: {spec: "0:0"}
END

run 0 config --defaults
silent
out "optim.lr:"
out "# tasks.NAME.loss:"
run 2 config a.yaml --defaults

run 0 config a.yaml --plain
silent
no_out "#"
out "batch_size: 16"
cp .out resolved.yaml
run 0 config resolved.yaml --plain
cmp -s .out resolved.yaml || fail "the resolved configuration resolves to something else"

# defaults < file < environment < flags, each with its origin
run 0 config b.yaml
out "epochs: 7  # b.yaml:2:17"
out "batch_size: 16  # a.yaml:"
out "patience: 0  # default"
out "spec: \"0:0\"  # b.yaml:3:16"
TANDEM_DEVICE=gpu run 0 config b.yaml
out "spec: gpu  # TANDEM_DEVICE"
TANDEM_DEVICE=gpu run 0 config b.yaml --device cpu --epochs 9
out "spec: cpu  # --device"
out "epochs: 9  # --epochs"
run 0 config b.yaml --epochs 3 --set train.epochs=4 --set train.epochs=5
out "epochs: 5  # --set"

# every flag and its key
run 0 config a.yaml --output o --seed 8 --batch-size 32 --lr 0.5 --workers 2 \
    --init-from x --freeze 'encoder.[0-2].*' --freeze 'a,"b' --overfit-batches 6 --fast-dev-run \
    --profile p.json --device-type cpu --platform P
for line in 'output: o  # --output' 'seed: 8  # --seed' 'batch_size: 32  # --batch-size' \
    'lr: 0.5  # --lr' 'workers: 2  # --workers' 'init_from: x  # --init-from' \
    '"encoder.[0-2].*"' 'a,\"b' 'overfit_batches: 6  # --overfit-batches' \
    'fast_dev_run: true  # --fast-dev-run' 'profile: p.json  # --profile' \
    'type: cpu  # --device-type' 'platform: P  # --platform'; do
    out "$line"
done
for pair in 90=90 90s=90 10m=600 2h=7200 1h30m=5400 1.5m=90; do
    run 0 config a.yaml --max-time "${pair%=*}"
    out "max_time: ${pair#*=}  # --max-time"
done
for bad in 10x m -5 '' 1h30 inf; do
    run 2 config a.yaml --max-time "$bad"
    err "--max-time $bad: must be"
done

# --resume may stand alone, with =, before another word, or before CONFIG
run 0 config a.yaml --resume
out "resume: auto"
run 0 config a.yaml --resume=r
out "resume: r"
run 0 config a.yaml --resume r --seed 1
out "resume: r"
run 0 config --resume a.yaml
out "resume: auto"
run 0 config --resume --seed 1 a.yaml
out "resume: auto"

# every configuration that comes with the program
for file in "$TANDEM_SOURCE_DIR"/configs/*/*.yaml; do
    case $file in
    */experiment*) run 0 config --experiment "$file" ;;
    *) run 0 config "$file" ;;
    esac
    silent
done
run 0 config --experiment --defaults
out "# experiment.arms.NAME.grid: "

# mistakes
run 2 config a.yaml --set optim.lrr=1
err "--set: optim.lrr: unknown key (hint: did you mean optim.lr?)"
run 2 config a.yaml --set optim.lr
err "must be key=value"
run 2 config a.yaml --lr -1
err "--lr: optim.lr = -1: must be"
run 2 config a.yaml --epochs many
err "--epochs: train.epochs = many: must be a whole number"
run 2 config a.yaml --set optim.kind=adamm
err "adamm"
printf 'optim:\n  lrr: 1\n' > typo.yaml
run 2 config typo.yaml
err "typo.yaml:2:3: optim.lrr: unknown key (hint: did you mean optim.lr?)"
printf 'optim: {lr: fast}\n' > type.yaml
run 2 config type.yaml
err "type.yaml:1:13: optim.lr = fast: must be a number"
printf 'optim: [\n' > syntax.yaml
run 2 config syntax.yaml
err "syntax.yaml:"
printf 'tasks: {t: {target: x}}\n' > required.yaml
run 2 config required.yaml
err "tasks.t.loss: must be given"
run 2 config missing.yaml
err "missing.yaml"
exit 0
