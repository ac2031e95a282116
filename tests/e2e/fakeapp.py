"""A FastCGI application of a few lines, so that nginx's side can be tested apart from the gateway.

FakeApp(path, answer): answer(params, body, send) is called for each request, in a thread for each
connection; send(bytes) writes to the client (headers first). When it returns, the request is ended
in order; when it raises Abort, the connection is closed in the middle of the answer.
"""

import socket
import struct
import threading

BEGIN, END, PARAMS, STDIN, STDOUT = 1, 3, 4, 5, 6
HEADER = struct.Struct(">BBHHBx")


class Abort(Exception):
    pass


def record(kind, request, content):
    return HEADER.pack(1, kind, request, len(content), 0) + content


def exactly(stream, count):
    data = stream.read(count)
    if len(data) != count:
        raise EOFError
    return data


def parse_params(data):
    params = []
    at = 0

    def length(at):
        if data[at] < 128:
            return data[at], at + 1
        return struct.unpack_from(">I", data, at)[0] & 0x7fffffff, at + 4
    while at < len(data):
        name, at = length(at)
        value, at = length(at)
        params.append((data[at:at + name].decode("latin-1"),
                       data[at + name:at + name + value].decode("latin-1")))
        at += name + value
    return params


class FakeApp:
    def __init__(self, path, answer):
        self.answer = answer
        self.connections = 0
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(path))
        self.listener.listen(128)
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        self.listener.close()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=[connection], daemon=True).start()

    def serve(self, connection):
        with connection, connection.makefile("rb") as stream:
            try:
                while self.one(connection, stream):
                    pass
            except (EOFError, OSError, Abort):
                pass

    def one(self, connection, stream):
        """Serves one request; True if the connection is kept."""
        streams = {PARAMS: b"", STDIN: b""}
        keep = False
        while True:
            _, kind, request, length, padding = HEADER.unpack(exactly(stream, HEADER.size))
            content = exactly(stream, length)
            exactly(stream, padding)
            if kind == BEGIN:
                keep = bool(content[2] & 1)
            elif length:
                streams[kind] += content
            elif kind == STDIN:
                break

        def send(data):
            for at in range(0, len(data), 65535):
                connection.sendall(record(STDOUT, request, data[at:at + 65535]))
        self.answer(parse_params(streams[PARAMS]), streams[STDIN], send)
        connection.sendall(record(STDOUT, request, b"") + record(END, request, bytes(8)))
        return keep
