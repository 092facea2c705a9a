"""A real SMTP server that keeps what it gets: python smtp.py OUT PORT [CERTIFICATE KEY USER PASSWORD].

Each message becomes a line of JSON in OUT. With a certificate, STARTTLS and a login are required. Mailboxes that begin with
"reject" are refused for good, those that begin with "later" for now.
"""

import json
import ssl
import sys
import threading

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword


class Keeper:
    def __init__(self, out):
        self.out = out

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("reject"):
            return "550 there is no such mailbox"
        if address.startswith("later"):
            return "451 try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        kept = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "tls": session.ssl is not None,
            "authenticated": bool(session.authenticated),
            "data": envelope.content.decode("utf-8"),
        }
        with open(self.out, "a", encoding="utf-8") as out:
            out.write(json.dumps(kept) + "\n")
        return "250 kept"


def options(certificate, key, user, password):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    known = LoginPassword(user.encode(), password.encode())

    def authenticate(server, session, envelope, mechanism, data):
        return AuthResult(success=data == known, handled=False)

    return {"tls_context": context, "require_starttls": True, "authenticator": authenticate, "auth_required": True}


def main():
    out, port, *secure = sys.argv[1:]
    Controller(Keeper(out), hostname="127.0.0.1", port=int(port), **(options(*secure) if secure else {})).start()
    threading.Event().wait()


main()
