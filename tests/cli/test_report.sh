#!/usr/bin/env bash
# `tandem report`: every format, of runs in whatever state they are.
. "$(dirname "$0")/common.sh"
export TMPDIR=$dir/tmp # where other processes leave nothing
mkdir "$TMPDIR"

# make_run PATH NAME SEED ACCURACY: what a finished run leaves
make_run() {
    mkdir -p "$1"
    printf 'name: "%s"\nseed: %s\ntrain: {epochs: 2, batch_size: 8}\noptim: {lr: 0.1}\n' "$2" "$3" > "$1/config.yaml"
    for epoch in 1 2; do
        for split in train val; do
            echo "{\"epoch\": $epoch, \"split\": \"$split\", \"total\": 1.$epoch, \"seconds\": 2, \"wait_share\": 0.01, \"lr\": 0.1, \"tasks\": {\"class\": {\"loss\": 0.$epoch, \"weight\": 0.5, \"metrics\": {\"accuracy\": $4}}}}"
        done
    done > "$1/metrics.jsonl"
    cat > "$1/summary.json" <<END
{"stop_reason": "epochs", "epochs_done": 2, "seconds": 4.5, "seed": $3, "device": "d", "process_peak_bytes": 1048576,
 "test": {"tasks": {"class": {"loss": 0.5, "metrics": {"accuracy": $4}}}}}
END
}

for seed in 0 1 2 3 4 5 6; do
    make_run "exp/base-$seed" base $seed "0.8$seed"
    make_run "exp/better-$seed" better $seed "0.9$seed"
done

# the default is a page in report.html
run 0 report exp
err "report.html: 2 arms, 14 of 14 runs finished"
no_data
exists report.html
grep -q "<!DOCTYPE html>" report.html || fail "no page"
grep -q "Against base: better: better." report.html || fail "no statement"
run 0 report exp --out other.html --quiet
silent
cmp -s report.html other.html || fail "not the same page twice"

# the format follows the file's ending, or --format
run 0 report exp --out t.md --baseline better
grep -qF "| base | 7 | 0.830 (0.816 to 0.844) worse, p = 0.016 |" t.md || fail "$(cat t.md)"
run 0 report exp --out - --format csv
out "base,class,accuracy,7,"
out ",better"
same "$(wc -l < .out)" 5
run 0 report exp --out - --format svg
out "<svg xmlns"
run 0 report exp --out curves.svg --chart curves
grep -q "class: loss" curves.svg || fail "no curves"
run 0 report exp --out - --format json
out '"format": "tandem-report-1"'

run 0 report exp --format md --quiet --baseline better
cmp -s report.md t.md || fail "not the file that its format names"
cmp -s report.html other.html || fail "the page was overwritten"

# wrong use
run 2 report
err "EXPERIMENT"
run 2 report exp --format pdf
err "--format"
run 2 report exp --format svg --chart pie
err "--chart: must be results or curves, not pie"
run 2 report exp --chart curves
err "--chart: only of svg"
run 3 report nowhere
err "nowhere: no such folder"
run 3 report exp --baseline worse
err "no run with test metrics is called 'worse'"
run 1 report exp --out no/such/folder/x.html
err "no/such/folder"
run 2 report exp --predict --examples x
err "--examples"

# checkpoints: who is taken for whom, image by image, pictures of the images that stand out
run 0 devices
grep -qE '^0 ' .out || { echo "SKIPPED: no OpenCL platform"; exit 77; }
"$make_data" good data || exit 1
small_config a.yaml data
for name in one two; do
    run 0 train a.yaml --output "trained/$name" --quiet --set "name=$name" --set "optim.lr=0.0${#name}"
done
run 0 train a.yaml --output trained/three --quiet --set name=three --epochs 1
run 0 runs compare trained --baseline one --per-sample
out "copy.l1, seed 3: "
out "they can tell these networks apart,"
grep -qE '^class\.accuracy +two +3 +[0-9]+ ' .out || fail "no line of the samples"
samples=$(awk '$1 == "class.accuracy" && $2 == "two" { print $4; exit }' .out)
"$tandem" eval trained/one --per-sample one.csv > /dev/null 2>&1 || fail "eval"
same "$(grep -c ',class,accuracy,' one.csv)" "$samples"
run 0 runs compare trained --baseline one --per-sample --json
out '"against": "one", "seed": 3, "difference": {"n": '"$samples"
run 3 runs compare trained --where 'arm = one' --per-sample
err "there are no two arms"
run 0 report trained --predict --examples 10 --out predicted.html
err "predicted.html: 3 arms, 3 of 3 runs finished"
no_err "device"
for part in 'id="matrices"' 'label; % of the row' 'id="examples"' 'class: best' 'copy: worst' \
    'two: class' 'difference to one, seed 3' 'src="data:image/png;base64,iVBORw0KGgo'; do
    grep -qF -- "$part" predicted.html || fail "the page lacks: $part"
done
same "$(grep -o 'data:image/png' predicted.html | wc -l)" 18
run 0 report trained --predict --examples 2 --out - --format json
out '"confusion": [{"arm": "one", "task": "class", "classes": ['
out '"score": "accuracy", "rows": [0, 1], "values": ['
run 0 report trained --predict --examples 0 --out few.html
grep -q 'id="matrices"' few.html || fail "no matrices"
! grep -q 'id="examples"' few.html || fail "examples that were not asked for"
same "$(ls -A "$TMPDIR")" ""
mv data gone
run 3 report trained --predict --out x.html
err "trained/one"
absent x.html
exit 0
