#!/usr/bin/env python3
"""In the place of ssh: forwards a port of this machine to PORT_THERE, as -L asks for."""

import os
import socket
import sys
import threading
from contextlib import suppress


def pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def main() -> None:
    near = sys.argv[sys.argv.index("-L") + 1].partition(":")[0]
    server = socket.create_server(("127.0.0.1", int(near)))
    while True:
        here, _ = server.accept()
        there = socket.create_connection(("127.0.0.1", int(os.environ["PORT_THERE"])))
        for ends in ((here, there), (there, here)):
            threading.Thread(target=pump, args=ends, daemon=True).start()


if __name__ == "__main__":
    main()
