#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The server the demo job talks to: 127.0.0.1, a free port, which is the first line on stdout.

GET /asset.txt gives a line of text, POST /collect takes anything and keeps nothing. It ends when
its stdin is closed: whoever started it cannot leave it behind, however it dies.
"""
import http.server
import sys
import threading

BODY_MAX_BYTES = 1 << 20


class Handler(http.server.BaseHTTPRequestHandler):
    timeout = 10

    def answer(self, status, body=b""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/asset.txt":
            self.answer(200, b"an asset from the demo's server\n")
        else:
            self.answer(404)

    def do_POST(self):
        length = self.headers.get("Content-Length", "0")
        if self.path != "/collect" or not length.isdigit() or int(length) > BODY_MAX_BYTES:
            self.answer(400)
            return
        self.rfile.read(int(length))
        self.answer(204)

    def log_message(self, format, *args):
        pass


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.buffer.read()


if __name__ == "__main__":
    main()
