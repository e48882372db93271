"""Stands where the gateway would: 127.0.0.1:8189. Answers with what it was asked, as JSON."""

import hashlib
import http.server
import json
import sys


class Upstream(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = self.path.partition("?")[0]
        if self.headers.get("Upgrade") == "websocket":
            self.echo_what_comes()
        elif path == "/assets/index-BX3hk2Pq.js":
            self.answer(b"x" * 50_000, "text/javascript", "private, max-age=31536000, immutable")
        elif path == "/assets/gone-BX3hk2Pq.js":
            self.answer(b"not here", "text/plain", "no-store", status=404)
        elif path == "/picture.png":
            self.answer(b"x" * 50_000, "image/png", "no-store")
        elif path == "/first-piece":
            self.first_piece()
        else:
            self.answer_with_request()

    def do_POST(self):
        if "Transfer-Encoding" in self.headers:
            self.answer_with_request(read_chunks(self.rfile))
        else:
            self.answer_with_request(read_length(self.rfile, int(self.headers["Content-Length"])))

    def answer_with_request(self, body=None):
        said = {"path": self.path, "method": self.command, "headers": {n.lower(): v for n, v in self.headers.items()}}
        if body:
            said["bytes"], said["sha256"] = body
        self.answer(json.dumps(said).encode(), "application/json", "no-store")

    def answer(self, body, kind, cache_control, status=200):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", cache_control)
        self.send_header("Content-Security-Policy", "frame-ancestors https://page.test")
        self.end_headers()
        self.wfile.write(body)

    def echo_what_comes(self):
        self.send_response(101)
        self.send_header("Connection", "upgrade")
        self.send_header("Upgrade", "websocket")
        self.end_headers()
        self.close_connection = True
        while piece := self.rfile.readline():
            self.wfile.write(b"echo " + piece)

    def first_piece(self):
        """Says something, and the rest only when it is told that this has arrived."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Content-Length", "12")
        self.end_headers()
        self.wfile.write(b"first ")
        self.wfile.flush()
        open(sys.argv[1]).read()
        self.wfile.write(b"second")

    def log_message(self, *_):
        pass


def read_length(stream, length):
    digest, left = hashlib.sha256(), length
    while left and (piece := stream.read(min(left, 1 << 20))):
        digest.update(piece)
        left -= len(piece)
    return length - left, digest.hexdigest()


def read_chunks(stream):
    digest, total = hashlib.sha256(), 0
    while size := int(stream.readline(), 16):
        digest.update(stream.read(size))
        total += size
        stream.readline()
    stream.readline()
    return total, digest.hexdigest()


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True


Server(("127.0.0.1", 8189), Upstream).serve_forever()
