#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A package registry on loopback for `npm install`: serves a folder of packed packages.

    registry.py FOLDER

Prints the port. FOLDER holds <name>.tgz and <name>.json (name, version, dependencies, integrity).
"""
import http.server
import json
import pathlib
import sys

FOLDER = pathlib.Path(sys.argv[1])


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        name = self.path.strip("/")
        if name.endswith(".tgz"):
            return self.answer(FOLDER / pathlib.PurePath(name).name, "application/octet-stream")
        described = FOLDER / f"{name}.json"
        if not described.is_file():
            return self.send(404, b"{}", "application/json")
        package = json.loads(described.read_text(encoding="utf-8"))
        where = f"http://127.0.0.1:{self.server.server_address[1]}/tarballs/{name}.tgz"
        integrity = package.pop("integrity")
        version = {**package, "dist": {"tarball": where, "integrity": integrity}}
        document = {"name": name, "dist-tags": {"latest": version["version"]},
                    "versions": {version["version"]: version}}
        return self.send(200, json.dumps(document).encode(), "application/json")

    def answer(self, path, kind):
        if not path.is_file():
            return self.send(404, b"", kind)
        return self.send(200, path.read_bytes(), kind)

    def send(self, status, body, kind):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
print(server.server_address[1], flush=True)
server.serve_forever()
