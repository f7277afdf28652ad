"""Runs a command to its end, and prints what it cost as one JSON object: processor time in seconds, memory in KiB."""

import json
import os
import sys
import time

begun = time.monotonic()
child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)])
peak, ended = 0, 0
while not ended:
    try:
        with open(f"/proc/{child}/status") as status:
            # Of the program itself; what wait4 has is that of this interpreter, when it is more.
            peak = max([peak] + [int(line.split()[1]) for line in status if line.startswith("VmHWM")])
    except OSError:
        pass
    ended, status, usage = os.wait4(child, os.WNOHANG)
    time.sleep(0.02)
print(json.dumps({
    "status": os.waitstatus_to_exitcode(status),
    "cpu": usage.ru_utime + usage.ru_stime,
    "peak": peak,
    "took": time.monotonic() - begun,
}))
