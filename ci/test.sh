#!/usr/bin/env bash
# Installs what is missing, builds, runs every test: the whole suite in an ordinary build (both kernel
# styles; a selection of kernels under Oclgrind; GPU code generation where the compilers are), a selection
# on every OpenCL driver there is, host tests under ASan + UBSan, the loader under TSan.
set -uo pipefail
cd "$(dirname "$0")/.."
. ci/packages.sh

# shellcheck disable=SC2086
install_packages $run_packages $build_packages $data_packages $test_packages || exit 1

# Real data for development, where it is present beside the checkout.
if [ -z "${TANDEM_DATA_DIR:-}" ] && [ -d ../shared/data ]; then
    TANDEM_DATA_DIR=$(cd ../shared/data && pwd)
    export TANDEM_DATA_DIR
fi
[ -n "${TANDEM_DATA_DIR:-}" ] || echo "no TANDEM_DATA_DIR: tests on real data are listed as skipped"

TANDEM_PTXAS=$(find_ptxas) && export TANDEM_PTXAS || echo "no ptxas: code generation for NVIDIA is listed as skipped"

failed=0
stage() { # NAME COMMAND...
    local name=$1 began
    shift
    began=$(date +%s)
    echo "== $name"
    if "$@"; then echo "== $name: passed ($(($(date +%s) - began)) s)"
    else echo "== $name: FAILED ($(($(date +%s) - began)) s)"; failed=1; fi
}
run_ctest() { # FOLDER CTEST-OPTION...
    local folder=$1
    shift
    ctest --test-dir "$folder" --output-on-failure --timeout 900 "$@"
}

stage "build" build_tree build-test -DTANDEM_WERROR=ON
stage "all tests" run_ctest build-test -j2 -LE portability
stage "portability: every OpenCL driver" ci/portability.sh build-test

stage "build with address and undefined-behaviour sanitizers" \
    build_tree build-asan -DTANDEM_WERROR=ON -DTANDEM_SANITIZE=address,undefined
# Kernel suites spend their time in the driver: under the sanitizers the host's share is what matters. Three
# long ones run for their results, with host code that shorter ones run as well.
stage "host tests under ASan and UBSan" run_ctest build-asan -j2 -L 'unit|train|fuzz|cli' \
    -E 'train/test_overfit|train/test_toy$|cli/test_experiments_small'

loader_tests='test_base test_loader test_loader_transform test_ring test_sampler test_split'
targets=$loader_tests stage "build with the thread sanitizer" \
    build_tree build-tsan -DTANDEM_WERROR=ON -DTANDEM_SANITIZE=thread
stage "loader under TSan" run_ctest build-tsan -j2 -R "unit/(${loader_tests// /|})\$"

[ "$failed" = 0 ] && echo "every stage passed" || echo "some stages FAILED"
exit "$failed"
