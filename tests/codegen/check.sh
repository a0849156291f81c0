#!/usr/bin/env bash
# check.sh nvidia|amd DUMP_PROGRAMS [--update]: compiles every GPU-style kernel, as the library would
# build it, without a GPU: for NVIDIA by clang and libclc to PTX, which ptxas turns into code, for AMD
# by clang alone. Prints a table of registers, spills, local memory and occupancy, and fails on any
# spill, on more registers or local memory than bounds.csv allows, and on kernels that it does not
# know or that are gone. --update writes the bounds anew, registers rounded up to the steps in which
# devices hand them out. Exit code 77 without the compilers.
# TANDEM_PTXAS names a ptxas outside PATH.
set -euo pipefail
[ $# -ge 2 ] || { sed -n 2,9p "$0"; exit 2; }
vendor=$1 dump=$2 update=${3:-}
here=$(cd "$(dirname "$0")" && pwd)
bounds=$here/bounds.csv

skip() { echo "SKIPPED: code generation for $vendor ($1)"; exit 77; }
clang=$(command -v clang-14) || skip "no clang-14"
case $vendor in
nvidia)
    ptxas=${TANDEM_PTXAS:-$(command -v ptxas || true)}
    [ -n "$ptxas" ] || ptxas=/usr/local/cuda/bin/ptxas
    [ -x "$ptxas" ] || skip "no ptxas: part of the CUDA toolkit and of PyPI's nvidia-cuda-nvcc"
    library=nvptx64--nvidiacl.bc targets=sm_75 ;;
amd) library=amdgcn--amdhsa.bc targets="gfx90a gfx1030" ;;
*) echo "check.sh: $vendor: must be nvidia or amd" >&2; exit 2 ;;
esac
libclc=$(ls /usr/lib/clc/$library /usr/share/clc/$library 2>/dev/null | head -1 || true)
[ -n "$libclc" ] || skip "no $library: install libclc-14"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$dump" "$vendor" "$work"

# compile TARGET PROGRAM: leaves PROGRAM.TARGET.log for table.awk.
compile() {
    local target=$1 base=$work/$2 out=$work/$2.$1
    local options
    options="-x cl $(cat "$base.options") -O3 -S -Xclang -mlink-builtin-bitcode -Xclang $libclc"
    # shellcheck disable=SC2086
    if [ "$vendor" = amd ]; then
        "$clang" $options -target amdgcn-amd-amdhsa -mcpu="$target" -nogpulib "$base.cl" -o "$out.log"
    else
        "$clang" $options -target nvptx64-nvidia-nvcl -Xclang -target-cpu -Xclang "$target" \
            -Xclang -target-feature -Xclang +ptx64 "$base.cl" -o "$out.ptx"
        "$ptxas" -v -arch="$target" "$out.ptx" -o /dev/null >"$out.log" 2>&1 ||
            { cat "$out.log" >&2; return 1; }
        grep -E '^\.(entry|reqntid)|\.entry' "$out.ptx" >>"$out.log"
    fi
}
export -f compile
export work clang libclc vendor ptxas=${ptxas:-}
for target in $targets; do
    for source in "$work"/*.cl; do echo "$target $(basename "$source" .cl)"; done
done | xargs -P "$(nproc)" -L 1 bash -euc 'compile "$0" "$1"'

for target in $targets; do
    awk -v target="$target" -f "$here/table.awk" "$work/launches.csv" "$work"/*."$target".log
done | sort >"$work/table"
[ -s "$work/table" ] || { echo "check.sh: no kernels"; exit 1; }

if [ "$update" = --update ]; then
    head='target,program,kernel,registers,local'
    # shellcheck disable=SC2086
    { echo "$head"
      { grep -vE "^($(echo $targets | tr ' ' '|'))," "$bounds" 2>/dev/null | grep -v "^$head" || true
        awk '{ printf "%s,%s,%s,%d,%d\n", $1, $2, $3, int(($5 + 7) / 8) * 8, $8 }' "$work/table"
      } | sort; } >"$work/bounds"
    cp "$work/bounds" "$bounds"
fi
awk -v targets="$targets" -v again="tests/codegen/check.sh $vendor $dump --update" \
    -f "$here/compare.awk" "$bounds" "$work/table"
