#!/usr/bin/env bash
# From a bare Debian 12 machine to a trained two-task model: installs what is missing, builds, imports
# Fashion-MNIST, trains classification + reconstruction with learnt weights for five epochs at learning
# rate 1e-3 (the last at a fifth of it), and measures the result on the 10,000 test images. Extra arguments
# go to `tandem train`.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/packages.sh
began=$(date +%s)

# shellcheck disable=SC2086
install_packages $run_packages $build_packages $data_packages
build_tree build -DTANDEM_TESTS=OFF
tandem=build/tandem

"$tandem" devices
"$tandem" data import fashion-mnist /usr/share/datasets/fashion-mnist --out data/fashion-mnist
run=runs/quickstart-$(date +%Y%m%d-%H%M%S)
"$tandem" train configs/fashion-mnist/quickstart.yaml --output "$run" "$@"
"$tandem" eval "$run" --split test
echo "run folder: $run ($(($(date +%s) - began)) s in all)"
