"""Cloud Storage and the metadata server in one, on 127.0.0.1:8186, with the objects in a folder: bucket.py FOLDER."""

import http.server
import pathlib
import sys
import urllib.parse


class Bucket(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path.endswith("/service-accounts/default/token"):
            return self.answer(200, b'{"access_token":"TOKEN","expires_in":3600}')
        _, found, name = self.path.partition("/storage/v1/b/bucket/o/")
        name, _, query = name.partition("?")
        file = pathlib.Path(sys.argv[1], urllib.parse.unquote(name))
        if not found or "/" in name or query != "alt=media" or not file.is_file():
            return self.answer(404, b"")
        if self.headers["Authorization"] != "Bearer TOKEN":
            return self.answer(401, b"")
        self.answer(200, file.read_bytes())

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


http.server.HTTPServer(("127.0.0.1", 8186), Bucket).serve_forever()
