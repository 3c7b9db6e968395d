#!/usr/bin/env python3
"""Checks names and passwords for the gateway: webhook-receiver.py PORT PEM SECRET PEOPLE

PEM holds certificate and key, SECRET what is shared with the gateway, PEOPLE is JSON such as
{"ann": {"password": "...", "groups": ["finance"]}}. An example: your own keeps hashes."""
import hashlib, hmac, json, ssl, sys
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

port, pem, secret_file, people_file = sys.argv[1:]
secret, people, seen = open(secret_file, "rb").read().strip(), json.load(open(people_file)), set()

def sign(time, nonce, body):
    return "v1=" + hmac.new(secret, f"{time}.{nonce}.".encode() + body, hashlib.sha256).hexdigest()

def is_now(time):
    return abs((datetime.now(timezone.utc) - datetime.fromisoformat(time[:-1] + "+00:00")).total_seconds()) < 60

class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(min(int(self.headers["Content-Length"]), 65536))
        time, nonce, given = (self.headers.get("X-AccessPoint-" + n, "") for n in ("Time", "Nonce", "Signature"))
        if not hmac.compare_digest(given, sign(time, nonce, body)) or nonce in seen or not is_now(time):
            return self.send_error(403)  # not the gateway, or not for the first time
        seen.add(nonce)
        asked = json.loads(body)
        name, person = asked["username"], people.get(asked["username"].lower())
        right = person and hmac.compare_digest(person["password"].encode(), asked["password"].encode())
        answer = {"allow": bool(right), "known": bool(person), "nonce": nonce}
        if right:
            answer |= {"subject": name.lower(), "claims": {"preferred_username": name, "groups": person["groups"]}}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-AccessPoint-Time", time)
        self.send_header("X-AccessPoint-Signature", sign(time, nonce, body))
        self.end_headers()
        self.wfile.write(body)

server, tls = ThreadingHTTPServer(("127.0.0.1", int(port)), Receiver), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(pem)
server.socket = tls.wrap_socket(server.socket, server_side=True)
print("listening on port", server.server_address[1], flush=True)
server.serve_forever()
