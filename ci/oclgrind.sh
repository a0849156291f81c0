#!/usr/bin/env bash
# Runs a selection of the kernel tests under Oclgrind, which checks every memory access of a kernel, data
# races and uninitialised reads. Usage: ci/oclgrind.sh BUILD-FOLDER
set -uo pipefail
build=$1
log=$build/oclgrind.log
export CK_FORK=no TANDEM_CACHE=off
failed=0
for style in cpu gpu; do
    for op in ${TANDEM_OCLGRIND_OPS:-activation add batch_norm channel_affine concat conv2d conv_transpose2d \
        dense global_avg_pool label_loss max_pool2d max_unpool2d point_loss softmax upsample}; do
        TANDEM_KERNEL_STYLE=$style TANDEM_TEST_STYLE=$style TANDEM_TEST_OP=$op TANDEM_TEST_QUICK=1 \
            timeout 300 oclgrind --data-races --uninitialized --local-mem-size 1048576 --max-errors 20 \
            "$build/tests/test_op_table" >"$log" 2>&1
        rc=$?
        if [ $rc != 0 ] || grep -qE 'Invalid (read|write)|data race|Uninitialized' "$log"; then
            echo "oclgrind: $op ($style): exit $rc"
            grep -vE '^[0-9]+%|^$' "$log" | head -30
            failed=1
        else
            echo "oclgrind: $op ($style): clean"
        fi
    done
done
exit $failed
