#!/usr/bin/env bash
# Predicting: what is written for samples of a data set and for pictures, and what is refused.
. "$(dirname "$0")/common.sh"

run 0 devices
grep -qE '^0 ' .out || { echo "SKIPPED: no OpenCL platform"; exit 77; }
"$make_data" good data || exit 1
small_config a.yaml data
run 0 train a.yaml --output run --quiet

# every sample: an array for each task, a picture, a line
run 0 predict run data --out all
err "predictions.jsonl"
lines=$(wc -l < all/predictions.jsonl)
[ "$lines" -gt 3 ] || fail "only $lines lines"
same "$(ls all/*.png | wc -l)" "$lines"
same "$(ls all/*.class.npy | wc -l)" "$lines"
same "$(ls all/*.copy.npy | wc -l)" "$lines"
grep -q '"name": *"test-000000".*"class": *{"class": *[0-9].*"probability"' all/predictions.jsonl ||
    fail "no class in the first line"
head -c 4 all/test-000000.png | tail -c 3 | grep -q PNG || fail "no PNG"
head -c 6 all/test-000000.class.npy | tail -c 5 | grep -q NUMPY || fail "no array"

# some samples, without pictures; the same numbers whatever else is in the batch
run 0 predict run data --out some --rows 1,3-4 --no-pictures --quiet
silent
same "$(wc -l < some/predictions.jsonl)" 3
same "$(ls some/*.png 2> /dev/null | wc -l)" 0
cmp -s some/test-000003.class.npy all/test-000003.class.npy || fail "row 3 differs"
cmp -s some/test-000004.copy.npy all/test-000004.copy.npy || fail "row 4 differs"
same "$(grep '"row": *3' some/predictions.jsonl)" "$(grep '"row": *3,' all/predictions.jsonl)"
run 0 predict run data --out few --limit 2 --split val --batch-size 1
same "$(wc -l < few/predictions.jsonl)" 2
exists few/val-000001.png

# pictures: of another size, with colours; a folder of them; two of one name
mkdir pictures
cp all/test-000000.png pictures/a.png
cp all/test-000001.png pictures/b.png
: > pictures/readme.txt
run 0 predict run/best.safetensors pictures pictures/a.png --out p
same "$(wc -l < p/predictions.jsonl)" 3
exists p/a.png
exists p/b.copy.npy
exists p/a-2.class.npy
no_err "warning"

# no data are needed beyond the checkpoint
mv data gone
run 0 predict run pictures/a.png --out alone --quiet
cmp -s alone/a.class.npy p/a.class.npy || fail "another result without the data set"
mv gone data

# wrong use
run 2 predict run data
err "--out"
run 2 predict run --out x
err "INPUT"
run 2 predict run data --out x --rows 5,3
err "--rows"
run 2 predict run data --out x --limit 0
err "--limit"
run 2 predict run data --out x --rows 1000000
err "no sample 1000000"
run 3 predict run data nowhere.png --out y
err "nowhere.png"
absent y
run 3 predict run pictures/readme.txt --out y
err "pictures/readme.txt"
run 3 predict nowhere data --out y
err "nowhere"
mkdir empty
run 3 predict run empty --out y
err "empty"
run 3 predict run data --split other --out y
err "other"
: > file
run 1 predict run data --out file/y
err "file"
exit 0
