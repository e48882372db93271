"""What a VM speaks to while it boots, on loopback: metadata server, storage, and control plane in one.

startup_world.py FOLDER: prints its port. Attributes are files in FOLDER/attributes, what can be fetched is in
FOLDER/files. Every request is noted in FOLDER/requests, a heartbeat's body in FOLDER/heartbeats. How often a file's
transfer is cut in its middle, or answered with 503 first, is said by FOLDER/cut and FOLDER/busy; FOLDER/deaf makes the
metadata server answer 503.
"""

import http.server
import os
import re
import sys

FOLDER = sys.argv[1]
METADATA = "/computeMetadata/v1/instance/"


def count_down(name):
    """Whether the number in the file was above zero; it is one less afterwards."""
    path = os.path.join(FOLDER, name)
    if not os.path.exists(path):
        return False
    left = int(open(path).read())
    open(path, "w").write(str(left - 1))
    return left > 0


class World(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def note(self):
        with open(os.path.join(FOLDER, "requests"), "a") as requests:
            requests.write(
                f"{self.command} {self.path} {self.headers.get('Range', '-')} {self.headers.get('Authorization', '-')}\n"
            )

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.note()
        if self.path.startswith(METADATA):
            self.metadata(self.path[len(METADATA) :].split("?")[0])
        elif self.path.startswith("/storage/v1/b/"):
            self.storage()
        else:
            self.file(self.path.split("?")[0].rsplit("/", 1)[-1])

    def metadata(self, path):
        if count_down("deaf"):
            self.answer(503)
        elif self.headers.get("Metadata-Flavor") != "Google":
            self.answer(403)
        elif path == "service-accounts/default/token":
            self.answer(200, b'{"access_token":"secret-of-storage","expires_in":3599,"token_type":"Bearer"}')
        elif path == "service-accounts/default/identity":
            self.answer(200, b"who-the-vm-is")
        elif path == "network-interfaces/0/access-configs/0/external-ip":
            self.attribute("external-ip")
        else:
            self.attribute(path.removeprefix("attributes/"))

    def attribute(self, name):
        path = os.path.join(FOLDER, "attributes", name)
        if os.path.exists(path):
            self.answer(200, open(path, "rb").read())
        else:
            self.answer(404, b"<html>no such thing</html>")

    def storage(self):
        if self.headers.get("Authorization") != "Bearer secret-of-storage":
            self.answer(401)
        else:
            self.file(self.path.split("?")[0].rsplit("%2F", 1)[-1])

    def file(self, name):
        path = os.path.join(FOLDER, "files", name)
        if count_down("busy"):
            return self.answer(503)
        if not os.path.exists(path):
            return self.answer(404, b"no such file")
        body = open(path, "rb").read()
        begin = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        begin = int(begin[1]) if begin else 0
        if begin and begin >= len(body):
            return self.answer(416, headers=[("Content-Range", f"bytes */{len(body)}")])
        rest = body[begin:]
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        if count_down("cut"):
            self.wfile.write(rest[: len(rest) // 2])
            self.close_connection = True
        else:
            self.wfile.write(rest)

    def do_POST(self):
        self.note()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with open(os.path.join(FOLDER, "heartbeats"), "ab") as heartbeats:
            heartbeats.write(body + b"\n")
        if self.headers.get("Authorization") != "Bearer who-the-vm-is":
            self.answer(401)
        else:
            phase = b"Placing" if count_down("placing") else b"Booting"
            self.answer(200, b'{"wish":"Running","phase":"%s","run": 7,"stop_at":null}' % phase)


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), World)
print(server.server_address[1], flush=True)
server.serve_forever()
