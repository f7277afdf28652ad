"""cost.py FILE CMD...: runs a command to its end, with what it says in the file, and prints what it cost as one JSON
object: processor time in seconds, memory in KiB."""

import json
import os
import sys
import time

begun = time.monotonic()
said = (os.POSIX_SPAWN_OPEN, 1, sys.argv[1], os.O_WRONLY | os.O_TRUNC, 0)
child = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ, file_actions=[said, (os.POSIX_SPAWN_DUP2, 1, 2)])
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
