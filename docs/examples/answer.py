#!/usr/bin/env python3
"""An application server that answers each uplink within the receive window
that it opened:

    python3 answer.py "ws://127.0.0.1:8080/api/v1.0/data?access_token=TOKEN"

It needs nothing but Python 3.8: the few lines of the WebSocket protocol (RFC
6455) that a client needs are here, too. With the package "websockets" the
class Socket would be one line.
"""
import base64
import json
import os
import socket
import ssl
import struct
import sys
import time
from urllib.parse import urlsplit


class Socket:
    """A WebSocket client: text messages in and out, pings answered."""

    def __init__(self, url):
        u = urlsplit(url)
        port = u.port or (443 if u.scheme == "wss" else 80)
        self.sock = socket.create_connection((u.hostname, port), timeout=60)  # the server sends a pong every 25 s
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if u.scheme == "wss":
            self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=u.hostname)
        self.file = self.sock.makefile("rb")
        key = base64.b64encode(os.urandom(16)).decode()
        self.sock.sendall(
            f"GET {u.path}?{u.query} HTTP/1.1\r\nHost: {u.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
        status = self.file.readline().decode().strip()
        headers = {}
        for line in iter(self.file.readline, b"\r\n"):
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        if " 101 " not in status + " ":
            body = self.file.read(int(headers.get("content-length", 0)))
            raise ConnectionError(f"{status}: {body.decode()}")

    def read(self, n):
        data = self.file.read(n)
        if len(data) < n:
            raise ConnectionError("the connection broke")
        return data

    def receive(self):
        """Returns the next text message."""
        text = b""
        while True:
            head, size = self.read(2)
            if size == 126:
                size, = struct.unpack(">H", self.read(2))
            elif size == 127:
                size, = struct.unpack(">Q", self.read(8))
            data = self.read(size)
            opcode = head & 0x0F
            if opcode in (0, 1):
                text += data
                if head & 0x80:
                    return text.decode()
            elif opcode == 8:
                code = struct.unpack(">H", data[:2])[0] if len(data) >= 2 else 1005
                raise ConnectionError(f"closed with {code}: {data[2:].decode()}")
            elif opcode == 9:
                self.write(10, data)

    def send(self, text):
        self.write(1, text.encode())

    def write(self, opcode, data):
        head = bytes([0x80 | opcode])
        if len(data) < 126:
            head += bytes([0x80 | len(data)])
        else:
            head += struct.pack(">BH", 0x80 | 126, len(data))
        mask = os.urandom(4)
        self.sock.sendall(head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data)))


def serve(url, last):
    """Answers until the connection breaks; last is the state that survives it."""
    url += "&history_end=1"
    if last["time"]:
        url += f"&from_unixtime={last['time'] - 5:.6f}"  # what was missed
    ws = Socket(url)
    replaying = True
    while True:
        message = json.loads(ws.receive())
        meta, params = message["meta"], message["params"]
        if params.get("code") == "history_end":
            replaying = False
        if meta.get("history") or not replaying:  # new messages overtake replayed ones
            last["time"] = max(last["time"], meta["time"])
        packet = meta.get("packet_id")
        if packet in last["seen"]:
            continue  # the history repeats what came already
        if packet:
            last["seen"][packet] = True
        while len(last["seen"]) > 10000:
            del last["seen"][next(iter(last["seen"]))]
        if message["type"] == "uplink":
            last["uplinks"][meta["device"]] = params["counter_up"]
            print(f"uplink {meta['device']} #{params['counter_up']} port {params['port']}", flush=True)
        elif message["type"] == "downlink_request" and not meta.get("history"):
            text = f"got {last['uplinks'].get(meta['device'])}"
            ws.send(json.dumps({"type": "downlink_response", "meta": meta,
                                "params": {"payload": base64.b64encode(text.encode()).decode(), "port": 10}}))
        elif message["type"] == "downlink":
            timing = params["timing"]
            payload = base64.b64decode(params.get("payload", "")).decode(errors="replace")
            print(f"downlink {meta['device']} {timing['window']} \"{payload}\", "
                  f"armed {timing['margin'] * 1e3:.1f} ms before its start", flush=True)
        elif message["type"] == "error":
            print("error", params["message"], flush=True)


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: answer.py URL, as gatewayd demo prints it")
    last = {"time": 0, "seen": {}, "uplinks": {}}
    pause = 0.1
    while True:
        before = last["time"]
        try:
            serve(sys.argv[1], last)
        except OSError as e:  # ConnectionError and timeouts are
            print(e, file=sys.stderr, flush=True)
        pause = 0.1 if last["time"] > before else min(2 * pause, 30)
        time.sleep(pause)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
