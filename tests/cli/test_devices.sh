#!/usr/bin/env bash
# The list of devices, and which one flags and environment choose.
. "$(dirname "$0")/common.sh"

run 0 devices
grep -qE '^0 ' .out || { echo "SKIPPED: no OpenCL platform"; exit 77; }
silent
grep -qE '^  \* [0-9]+:[0-9]+  .*default$' .out || fail "no default device is marked"
name=$(sed -n 's/^  \* [0-9]*:[0-9]*  \(.*\) ([a-z]*)  default$/\1/p' .out)
id=$(sed -n 's/^  \* \([0-9]*:[0-9]*\)  .*/\1/p' .out)
type=$(sed -n 's/^  \* .* (\([a-z]*\))  default$/\1/p' .out)

run 0 devices --json
silent
out "\"id\": \"$id\""
out "\"type\": \"$type\""
same "$(head -c 1 .out)" "["
same "$(tail -n 1 .out)" "]"

run 0 devices --device "$id"
err "chosen: $id $name"
run 0 devices --device "$type" --platform "${id%%:*}" --device-type "$type"
err "chosen: $id $name"
TANDEM_DEVICE=$id run 0 devices
err "chosen: $id $name"
TANDEM_DEVICE=nonesuch run 0 devices --device "$id"
err "chosen: $id $name"
TANDEM_DEVICE='' run 0 devices
silent

TANDEM_DEVICE=nonesuch run 4 devices
err "no device \`nonesuch\`"
run 4 devices --device 99:0
run 4 devices --platform nonesuch
run 2 devices --device-type fast
err "--device-type: device.type = fast"

# A machine without any driver.
OCL_ICD_VENDORS=$dir run 0 devices
out "no OpenCL device"
exit 0
