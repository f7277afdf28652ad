"""A STAMP Session-Sender by scapy: asks ADDRESS PORT COUNT times, and prints what came back, one JSON object a line.

Every second request has an Extra Padding extension (RFC 8972, 4.1).
"""

import json
import socket
import sys
import time

from scapy.contrib.stamp import (
    ErrorEstimate,
    STAMPSessionReflectorTestUnauthenticated as Reply,
    STAMPSessionSenderTestUnauthenticated as Request,
    STAMPTestTLV,
)

address, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.settimeout(5)
NTP = 2208988800
for number in range(count):
    padding = [STAMPTestTLV(flags=0x80, type=1, len=8, value=b"\x07" * 8)] if number % 2 else []
    sent = time.time() + NTP
    request = bytes(Request(seq=1000 + number, ts=sent, ssid=77, err_estimate=ErrorEstimate(S=1), tlv_objects=padding))
    sender.sendto(request, (address, port))
    bytes_back, peer = sender.recvfrom(2048)
    reply = Reply(bytes_back)
    print(json.dumps({
        "from": peer[0],
        "asked": len(request),
        "length": len(bytes_back),
        "seq": reply.seq,
        "ssid": reply.ssid,
        "seq_sender": reply.seq_sender,
        "ttl_sender": reply.ttl_sender,
        "echoed": bytes_back[28:36] == request[4:12] and bytes_back[36:38] == request[12:14],
        "z": reply.err_estimate.Z,
        "received_after_ms": (float(reply.ts_rx) - sent) * 1e3,
        "processing_ms": (float(reply.ts) - float(reply.ts_rx)) * 1e3,
        "tlvs": [[int(tlv.flags), tlv.type, tlv.len] for tlv in reply.tlv_objects],
    }), flush=True)
