"""A STAMP Session-Reflector by scapy at PORT: `stateless`, or `stateful` and 20 ms slow, which its timestamps say."""

import socket
import sys
import time

from scapy.contrib.stamp import (
    ErrorEstimate,
    STAMPSessionReflectorTestUnauthenticated as Reply,
    STAMPSessionSenderTestUnauthenticated as Request,
)

port, stateful = int(sys.argv[1]), sys.argv[2] == "stateful"
NTP = 2208988800
reflector = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
reflector.bind(("0.0.0.0", port))
# The first use of the layer takes scapy a while.
Reply(bytes(Reply()))
print("ready", flush=True)
counts = {}
while True:
    data, peer = reflector.recvfrom(2048)
    received = time.time() + NTP
    request = Request(data)
    count = counts.get(peer, 0)
    counts[peer] = count + 1
    if stateful:
        time.sleep(0.02)
    reply = Reply(
        seq=count if stateful else request.seq,
        ts=time.time() + NTP,
        ts_rx=received,
        ssid=request.ssid,
        err_estimate=ErrorEstimate(),
        seq_sender=request.seq,
        ts_sender=request.ts,
        err_estimate_sender=request.err_estimate,
        ttl_sender=64,
    )
    # scapy keeps times as floats, which cannot hold all 64 bits: the echo is copied.
    answer = bytearray(bytes(reply))
    answer[28:36] = data[4:12]
    reflector.sendto(bytes(answer), peer)
