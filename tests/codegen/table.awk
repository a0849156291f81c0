# table.awk: launches.csv and the compilers' reports to lines
#   target program kernel items registers spills scratch local occupancy
# items: of the work-group. spills: bytes stored and loaded (NVIDIA), registers (AMD). scratch: bytes of
# private memory of an item that are not registers. local: bytes of local memory of a work-group.
# occupancy: percent of the warps or waves that a multiprocessor holds at most.

FNR == 1 {
    finish()
    program = FILENAME
    sub(/.*\//, "", program)
    sub("." target ".log", "", program)
}

FILENAME ~ /launches.csv$/ {
    split($0, f, ",")
    launched[f[1], f[2]] = f[3]
    passed[f[1], f[2]] = f[4]
    next
}

# ---- ptxas -v, then the entries of the PTX ----
/Compiling entry function/ { split($0, q, "'"); kernel = q[2]; names[kernel] = 1 }
/bytes stack frame/ { scratch[kernel] = $1; spills[kernel] = $5 + $9 }
/: Used [0-9]+ registers/ {
    registers[kernel] = field_before("registers")
    memory[kernel] = field_before("bytes smem")
}
/\.entry / { kernel = $0; sub(/.*\.entry /, "", kernel); sub(/\(.*/, "", kernel) }
/^\.reqntid/ { gsub(/,/, ""); wanted[kernel] = $2 * $3 * $4 }

# ---- clang -S for AMD: comments behind each function, then the metadata ----
/^[ \t]*\.amdhsa_kernel / { kernel = $2; names[kernel] = 1 }
/^; Occupancy: / { waves[kernel] = $3 }
/^    \.name: / { kernel = $2 }
/^  - \.[a-z_]+:/ { agprs = 0; local_bytes = 0; sizes = 1 }
/^    \.group_segment_fixed_size: / { local_bytes = $2 }
/^    \.name: / { memory[kernel] = local_bytes }
/^    \.private_segment_fixed_size: / { scratch[kernel] = $2 }
/^    \.reqd_workgroup_size:/ { dims = 3; wanted[kernel] = 1; next }
dims > 0 && /^      - / { wanted[kernel] *= $2; dims-- }
/^    \.sgpr_spill_count: / { spills[kernel] += $2 }
/^    \.vgpr_spill_count: / { spills[kernel] += $2 }
/^    \.vgpr_count: / { registers[kernel] = $2 }

END { finish() }

function field_before(what,    at, parts, n) {
    at = index($0, " " what)
    if (!at) return 0
    n = split(substr($0, 1, at - 1), parts, " ")
    return parts[n]
}

function least(a, b) { return a < b ? a : b }

function up(a, b) { return int((a + b - 1) / b) * b }

# Turing: 32 warps, 16 groups, 64 Ki registers handed out 256 at a time, 64 KiB of local memory.
function nvidia_occupancy(items, registers_, local_,    warps, groups) {
    warps = up(items, 32) / 32
    groups = least(16, int(32 / warps))
    groups = least(groups, int(int(65536 / up(registers_ * 32, 256)) / warps))
    if (local_ > 0) groups = least(groups, int(65536 / up(local_, 256)))
    return 100 * groups * warps / 32
}

# The report of one program is complete.
function finish(    k, items, bytes, percent) {
    for (k in names) {
        # A kernel of one item that nothing launches is a CPU-style one that is not hidden.
        if (!((program, k) in launched) && wanted[k] == 1) continue
        items = launched[program, k] ? launched[program, k] : wanted[k] ? wanted[k] : 256
        bytes = memory[k] + passed[program, k]
        percent = 100 * waves[k] / (target == "gfx1030" ? 16 : 8)
        if (target ~ /^sm/) percent = nvidia_occupancy(items, registers[k], bytes)
        printf "%s %s %s %d %d %d %d %d %d\n", target, program, k, items, registers[k], spills[k],
               scratch[k], bytes, percent
    }
    split("", names)
    split("", wanted)
    split("", spills)
}
