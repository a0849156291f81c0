# compare.awk: bounds.csv, then the table: prints it and what is wrong.

FNR == 1 { file++ }
file == 1 {
    split($0, f, ",")
    if (!index(" " targets " ", " " f[1] " ")) next
    key = f[1] " " f[2] " " f[3]
    registers[key] = f[4]
    local_bytes[key] = f[5]
    next
}
file == 2 && FNR == 1 {
    printf "%-8s %-18s %-24s %5s %9s %6s %7s %6s %9s\n", "target", "program", "kernel", "items",
           "registers", "spills", "scratch", "local", "occupancy"
}
{
    printf "%-8s %-18s %-24s %5d %9d %6d %7d %6d %8d%%\n", $1, $2, $3, $4, $5, $6, $7, $8, $9
    key = $1 " " $2 " " $3
    seen[key] = 1
    if ($6 + $7 > 0) wrong($6 " spilled, " $7 " bytes of private memory: must be in registers")
    if (!(key in registers)) unknown("is new")
    else {
        if ($5 > registers[key]) wrong($5 " registers, at most " registers[key] " are allowed")
        if ($8 > local_bytes[key])
            wrong($8 " bytes of local memory, at most " local_bytes[key] " are allowed")
    }
    kernels++
    if ($5 > most[$1]) { most[$1] = $5; which[$1] = $3 }
    if (!($1 in least) || $9 < least[$1]) { least[$1] = $9; slow[$1] = $3 }
}
END {
    for (key in registers) if (!(key in seen)) unknown("is gone")
    for (t in most)
        printf "%s: most registers %d (%s), least occupancy %d%% (%s)\n", t, most[t], which[t],
               least[t], slow[t]
    for (i = 0; i < failures; i++) print "FAILED: " failure[i]
    if (stale) print "regenerate the bounds by: " again
    printf "%d kernels, %d failures\n", kernels, failures
    exit failures > 0
}

function wrong(what) { failure[failures++] = key ": " what }

function unknown(what) { stale = 1; wrong(what) }
