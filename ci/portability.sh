#!/usr/bin/env bash
# Runs the tests labelled `portability` of a build on every OpenCL driver of the machine, each alone:
#
#     ci/portability.sh BUILD [NAME...]     NAME: part of a driver's name; nothing given: all
#
# Drivers are those of /etc/OpenCL/vendors and, beside them, Intel's CPU runtime (it also runs on AMD's
# processors), which comes from PyPI once and stays in the cache folder. Where pip cannot get it, it is
# reported as skipped. Exit code: of the worst driver.
set -uo pipefail
cd "$(dirname "$0")/.."
build=$1
shift
cache=${TANDEM_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/tandem}/drivers

# Prints the folder of the runtime's libraries. The .icd file of the package names a path of the machine
# that made it, so an own one is written.
intel_runtime() {
    local folder=$cache/intel-opencl
    if [ ! -e "$folder/intel.icd" ]; then
        [ "$(uname -m)" = x86_64 ] || { echo "only for x86-64" >&2; return 1; }
        rm -rf "$folder"
        mkdir -p "$cache" && python3 -m venv "$folder" &&
            timeout 600 "$folder/bin/pip" -q --disable-pip-version-check --no-cache-dir \
                install intel-opencl-rt intel-cmplr-lib-rt || return 1
        [ -e "$folder/lib/libintelocl.so" ] || { echo "the package has no libintelocl.so" >&2; return 1; }
        echo "$folder/lib/libintelocl.so" > "$folder/intel.icd"
    fi
    echo "$folder"
}

failed=0
wanted() { # DRIVER NAME...
    local driver=$1 name
    shift
    [ $# = 0 ] && return 0
    for name in "$@"; do case $driver in *"$name"*) return 0 ;; esac; done
    return 1
}

# on_driver NAME ICD LIBRARIES: in a subshell. The loader takes a folder more readily than a file.
on_driver() {
    local began devices
    began=$(date +%s)
    vendors=$(mktemp -d)
    trap 'rm -rf "$vendors"' EXIT
    cp "$2" "$vendors/"
    export OCL_ICD_VENDORS=$vendors LD_LIBRARY_PATH=$3${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    devices=$("$build/tandem" devices 2>&1) && grep -q default <<< "$devices" ||
        { echo "-- $1: SKIPPED, it offers no device"; return 0; }
    echo "-- $1: $(sed -n 's/^ *\* [0-9:]* \(.*\)  default$/\1/p' <<< "$devices")"
    ctest --test-dir "$build" -L portability --output-on-failure --timeout 300 || return 1
    echo "-- $1: passed ($(($(date +%s) - began)) s)"
}

for icd in /etc/OpenCL/vendors/*.icd; do
    name=$(basename "$icd" .icd)
    [ -e "$icd" ] && wanted "$name" "$@" || continue
    (on_driver "$name" "$icd" "") || failed=1
done
if wanted intel-cpu-runtime "$@"; then
    if folder=$(intel_runtime); then
        (on_driver intel-cpu-runtime "$folder/intel.icd" "$folder/lib") || failed=1
    else
        echo "-- intel-cpu-runtime: SKIPPED, pip cannot install it here"
    fi
fi
exit "$failed"
