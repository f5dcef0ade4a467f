"""Serve a folder over HTTP on this machine alone, at a free port, until it is ended; prints the address."""

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
import sys

if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=sys.argv[1])) as server:
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()
