#!/usr/bin/env python3
"""A management service, and tickets of a web server, behind NTLM that pyspnego accepts:
ntlm_acceptor.py WORDS [PEM]

WORDS are the challenges, parted by commas; with PEM (certificate and key) it serves TLS, and the
exchange must be bound to it. Prints its port. The one account is DOMAIN\\svc with the password
"right". GetServices tells what was counted; ClearQVSCache ends the key and the connection."""
import base64, hashlib, os, re, ssl, sys, tempfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

accounts = tempfile.NamedTemporaryFile("w", suffix=".accounts")
accounts.write("DOMAIN:svc:right\n")
accounts.flush()
os.environ["NTLM_USER_FILE"] = accounts.name
import spnego
import spnego.channel_bindings

words = sys.argv[1].split(",")
pem = sys.argv[2] if len(sys.argv) > 2 else None
counted = {"connections": 0, "exchanges": 0, "keys": 0}
bindings = None
if pem:
    der = ssl.PEM_cert_to_DER_cert(open(pem).read().split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n")
    bindings = spnego.channel_bindings.GssChannelBindings(
        application_data=b"tls-server-end-point:" + hashlib.sha256(der).digest())

NS = "http://ws.qliktech.com/QMS/11/"
DATA = "http://schemas.datacontract.org/2004/07/PIX.QMSAPI.DataObjects"

class Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        counted["connections"] += 1
        self.user, self.exchange = None, None

    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.signed_in():
            self.reply(200, "<html>no description</html>")

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        if not self.signed_in():
            return
        if self.path == "/QvAJAXZfc/GetWebTicket.aspx":
            return self.reply(200, f"<Global><_retval_>{counted['exchanges']:040x}</_retval_></Global>")
        operation = re.search(r"<(\w+) xmlns=\"" + re.escape(NS), body).group(1)
        if operation == "GetTimeLimitedServiceKey":
            counted["keys"] += 1
            return self.result(operation, f"key{counted['keys']}")
        if self.headers.get("X-Service-Key") != f"key{counted['keys']}" or counted.get("ended"):
            counted.pop("ended", None)
            return self.reply(500, "<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'><s:Body><s:Fault>"
                "<faultcode>s:Client</faultcode><faultstring>Service key is missing</faultstring></s:Fault></s:Body></s:Envelope>")
        if operation == "ClearQVSCache":
            counted["ended"] = True
            self.close_connection = True
        told = [f"user {self.user}"] + [f"{name} {counted[name]}" for name in ("connections", "exchanges", "keys")]
        services = "".join(f"<d:ServiceInfo><d:ID>1</d:ID><d:Name>{text}</d:Name><d:Type>QlikViewServer</d:Type></d:ServiceInfo>" for text in told)
        self.result(operation, services if operation == "GetServices" else "")

    def signed_in(self):
        """Whether this connection is; else the next message of the exchange was sent."""
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if self.user and not token:
            return True
        if not token or scheme not in words:
            return self.challenge(words)
        if self.exchange is None:
            self.exchange = spnego.server(protocol="ntlm", channel_bindings=bindings)
        try:
            answer = self.exchange.step(base64.b64decode(token), channel_bindings=bindings)
        except spnego.exceptions.SpnegoError:
            self.exchange = None
            return self.challenge(words)
        if not self.exchange.complete:
            return self.challenge([f"{scheme} {base64.b64encode(answer).decode()}"])
        self.user, self.exchange = self.exchange.client_principal, None
        counted["exchanges"] += 1
        return True

    def challenge(self, values):
        self.send_response(401)
        for value in values:
            self.send_header("WWW-Authenticate", value)
        self.send_header("Content-Length", "0")
        self.end_headers()
        return False

    def result(self, operation, inner):
        self.reply(200, f"<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'><s:Body><{operation}Response xmlns='{NS}'>"
            f"<{operation}Result xmlns:d='{DATA}'>{inner}</{operation}Result></{operation}Response></s:Body></s:Envelope>")

    def reply(self, status, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/xml; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
server.daemon_threads = True
if pem:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pem)
    server.socket = tls.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
