# Sourced: install_packages NAME... installs what is missing of Debian's packages.

run_packages="ocl-icd-libopencl1 pocl-opencl-icd"
build_packages="gcc libc6-dev cmake ninja-build pkg-config ocl-icd-opencl-dev opencl-headers libclblast-dev
    libhdf5-dev libyaml-dev libjansson-dev libdeflate-dev libzip-dev libpng-dev libjpeg62-turbo-dev
    libsqlite3-dev libxxhash-dev"
data_packages="dataset-fashion-mnist"
test_packages="g++ python3-venv check librandom123-dev oclgrind clang-14 libclc-14"

missing_packages() {
    for p in "$@"; do
        dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null | grep -qx installed || printf '%s ' "$p"
    done
}

install_packages() {
    local missing as_root=
    missing=$(missing_packages "$@")
    [ -z "$missing" ] && return 0
    [ "$(id -u)" = 0 ] || as_root=sudo
    echo "installing: $missing" >&2
    $as_root apt-get update -qq
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

# Prints where a ptxas is: of the CUDA toolkit, else from PyPI into the cache folder; fails, with
# nothing printed, where neither can be had.
find_ptxas() {
    local folder=${TANDEM_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/tandem}/cuda-nvcc-13.0.88
    command -v ptxas && return
    if [ -x /usr/local/cuda/bin/ptxas ]; then echo /usr/local/cuda/bin/ptxas; return; fi
    if ! find "$folder" -name ptxas 2>/dev/null | grep -q .; then
        python3 -m pip install -q --no-deps --target "$folder" nvidia-cuda-nvcc==13.0.88 >/dev/null 2>&1 ||
            return
    fi
    find "$folder" -name ptxas | grep -m 1 .
}

# build_tree FOLDER [CMAKE OPTION...]: configures and builds with both cores; $targets, where set, in place
# of all.
build_tree() {
    local folder=$1
    shift
    cmake -S . -B "$folder" -G Ninja "$@" >"$folder.log" 2>&1 &&
        cmake --build "$folder" ${targets:+--target $targets} >>"$folder.log" 2>&1 ||
        { tail -40 "$folder.log" >&2; return 1; }
}
