"""Reads the certificate of a server without verifying it: the expiry matters here, the clients verify the trust."""

import smtplib
import socket
import ssl
from datetime import datetime

from cryptography import x509

_SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
"""What a client of PostgreSQL asks for TLS by: https://www.postgresql.org/docs/current/protocol-message-formats.html"""


def certificate_of(host: str, port: int, protocol: str, timeout: float) -> datetime:
    """Return when the certificate of a server ends; protocol: postgres, starttls (SMTP's) or tls. OSError if it shows none."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        if protocol == "starttls":
            with smtplib.SMTP(host, port, timeout=timeout) as mail:
                mail.starttls(context=context)
                assert isinstance(mail.sock, ssl.SSLSocket)
                return _end(mail.sock)
        with socket.create_connection((host, port), timeout) as plain:
            if protocol == "postgres":
                plain.sendall(_SSL_REQUEST)
                if plain.recv(1) != b"S":
                    raise ConnectionError("it does not speak TLS")
            with context.wrap_socket(plain, server_hostname=host) as encrypted:
                return _end(encrypted)
    except smtplib.SMTPException as error:
        raise ConnectionError(str(error)) from error


def _end(encrypted: ssl.SSLSocket) -> datetime:
    return x509.load_der_x509_certificate(encrypted.getpeercert(binary_form=True) or b"").not_valid_after_utc
