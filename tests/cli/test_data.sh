#!/usr/bin/env bash
# Importing and looking at data; data sets with something wrong.
. "$(dirname "$0")/common.sh"

"$make_data" idx src 30 || exit 1
run 0 data import fashion-mnist src --out set
no_data
err "train: 30 samples"
err "test: 15 samples"
err "set: fashion-mnist is imported"
exists set/train.h5
exists set/test.h5
before=$(cksum set/*.h5)
run 0 data import fashion-mnist src --out set
err "already imported"
same "$(cksum set/*.h5)" "$before"
run 0 data import fashion-mnist src --out quiet --quiet
silent
exists quiet/train.h5

run 2 data import fashion-mnits src --out x
err "data kind 'fashion-mnits' is unknown"
err "did you mean 'fashion-mnist'?"
err "see \`tandem data import --help\`"
absent x
run 2 data import fashion-mnist src --out x --size zero
err "--size zero: must be a whole number"
run 2 data import fashion-mnist src --out x --size 0
run 2 data import fashion-mnist src --out x --size 64
run 3 data import fashion-mnist nowhere --out x
err "nowhere"
mkdir part
cp src/train-* part
run 3 data import fashion-mnist part --out x
err "t10k-images-idx3-ubyte"
absent x/test.h5
cp -r src short
head -c 5000 src/train-images-idx3-ubyte > short/train-images-idx3-ubyte
run 3 data import fashion-mnist short --out y
err "short/train-images-idx3-ubyte"
absent y/train.h5

run 0 data info set
silent
out "train: 30 samples"
out "images: image, u8"
out "Ankle boot"
run 0 data info set --json
silent
same "$(head -c 1 .out)" "{"
out '"Ankle boot"'
run 0 data info set/test.h5
out "15 samples"

# CIFAR-10 of zeros: 60,000 records, all of class 0
mkdir zeros
truncate -s $((3073 * 60000)) zeros/data_batch_1.bin
truncate -s $((3073 * 4)) zeros/test_batch.bin
# stopped in the middle, in each way: no half file, and what a kill leaves goes with the next run
for signal in INT TERM KILL; do
    "$tandem" data import cifar10 zeros --out stopped 2> .err &
    pid=$!
    for _ in $(seq 200); do
        ls stopped/train.h5.tmp-* > .out 2> /dev/null && break
        sleep 0.01
    done
    kill -$signal $pid
    wait $pid 2> /dev/null
    code=$?
    last="data import cifar10, SIG$signal"
    case $signal in INT) same $code 130 ;; TERM) same $code 143 ;; KILL) same $code 137 ;; esac
    absent stopped/train.h5
    absent stopped/test.h5
    [ $signal = KILL ] || same "$(ls stopped)" ""
done
run 0 data import cifar10 zeros --out stopped
same "$(ls stopped | tr '\n' ' ')" "test.h5 train.h5 "
before=$(cksum stopped/train.h5)
rm stopped/test.h5
run 0 data import cifar10 zeros --out stopped
err "test: 4 samples"
no_err "train:"
err "what an earlier import had finished was kept"
same "$(cksum stopped/train.h5)" "$before"
run 0 data info stopped
out "labels: class, u8, 60000"
run 3 data import cifar100 zeros --out hundred
err "train.bin is not there"
run 2 data import cifar10 zeros --out x --size 48
err "the images of cifar10 are 32 x 32 and are not resized"
run 3 data import omniglot zeros --out letters
err "holds neither images_background nor images_evaluation"
run 0 data import --help
out "cifar100"
out "omniglot"

# files with something wrong: each is named, exit 3
run 3 data info nowhere
err "nowhere"
mkdir none
run 3 data info none
err "none"
mkdir bad
: > bad/train.h5
run 3 data info bad
err "bad/train.h5"
head -c 3000 set/train.h5 > bad/train.h5
run 3 data info bad
err "bad/train.h5"
echo "this is no HDF5 file" > bad/train.h5
run 3 data info bad
err "bad/train.h5"
cp set/train.h5 bad/train.h5
printf '\377\377\377\377\377\377\377\377' | dd of=bad/train.h5 bs=1 seek=40 conv=notrunc 2> /dev/null
run 3 data info bad
err "bad/train.h5"
"$make_data" empty empty || exit 1
run 3 data info empty
err "empty/train"
"$make_data" lengths lengths 12 || exit 1
run 3 data info lengths
err "12"
err "13"
exit 0
