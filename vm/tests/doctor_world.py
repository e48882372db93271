"""The servers that the doctor asks, in its tests: the metadata server, the control plane, ComfyUI, the gateway, nginx.

Each answers what lies in a file, so that a test can let one of them answer anything:
WORLD/SERVER/METHOD-path-with-dashes holds the status, header lines, an empty line, and the body. `hang` for a status
answers after longer than anybody waits; `drop` hangs up. What has no file is answered 404. What was asked is noted, with
its Authorization and body, in WORLD/SERVER/asked.
"""

import http.server
import os
import ssl
import sys
import threading
import time

WORLD = sys.argv[1]
HANGS_FOR = 60
SERVERS = {
    "metadata": ("127.0.0.1", 8100, False),
    "control": ("127.0.0.1", 8101, False),
    "comfyui": ("127.0.0.1", 8188, False),
    "gateway": ("127.0.0.1", 8189, False),
    "http": ("0.0.0.0", 80, False),
    "https": ("0.0.0.0", 443, True),
}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder = ""

    def answer(self):
        length = int(self.headers.get("content-length", 0))
        body = self.rfile.read(length).decode()
        with open(f"{self.folder}/asked", "a") as asked:
            asked.write(f"{self.command} {self.path} {self.headers.get('authorization', '-')} {body}\n")
        name = self.command + self.path.split("?")[0].replace("/", "-")
        try:
            with open(f"{self.folder}/{name}") as file:
                head, _, answer = file.read().partition("\n\n")
        except FileNotFoundError:
            head, answer = "404", ""
        status, *headers = head.split("\n")
        if status == "hang":
            time.sleep(HANGS_FOR)
        if status in ("hang", "drop"):
            self.close_connection = True
            return
        self.send_response_only(int(status))
        names = [line.split(":")[0].lower() for line in headers]
        if "date" not in names:
            self.send_header("Date", self.date_time_string())
        for line in headers:
            self.send_header(*line.split(": ", 1))
        self.send_header("Content-Length", str(len(answer.encode())))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.encode())

    do_GET = do_POST = do_HEAD = answer

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    tls = False

    def finish_request(self, request, address):
        # Here, in the connection's own thread; the certificate is read anew, as it may be another by now.
        if self.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(f"{WORLD}/shown.pem", f"{WORLD}/shown.key")
            try:
                request = context.wrap_socket(request, server_side=True)
            except OSError:
                return
        super().finish_request(request, address)

    def handle_error(self, *_):
        pass


for name, (host, port, tls) in SERVERS.items():
    os.makedirs(f"{WORLD}/{name}", exist_ok=True)
    handler = type(name, (Handler,), {"folder": f"{WORLD}/{name}"})
    server = Server((host, port), handler)
    server.tls = tls
    threading.Thread(target=server.serve_forever, daemon=True).start()
with open(f"{WORLD}/up", "w"):
    pass
threading.Event().wait()
