"""What `tandem bench step` measures, for the scripts that compare it with something."""
import json
import os
import subprocess
import sys


def tandem_step(binary, config, settings, threads=1):
    """Its line of JSON as a dict (wall_ms, cpu_ms, peak_bytes, ...). settings: "key=value" texts. Ends the script
    where tandem fails; its own messages are on stderr then."""
    command = [binary, "bench", "step", config, "--json"]
    for assignment in settings:
        command += ["--set", assignment]
    done = subprocess.run(command, env=dict(os.environ, POCL_MAX_PTHREAD_COUNT=str(threads)), stdout=subprocess.PIPE,
                          text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: ended with status {done.returncode}")
    return json.loads(done.stdout)
