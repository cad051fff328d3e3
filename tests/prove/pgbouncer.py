"""PgBouncer itself, before a PostgreSQL of a test's own."""

import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory

from psycopg.conninfo import conninfo_to_dict

from tests.support.cluster import Cluster
from tests.support.receivers import free_port

CONFIG = """
[databases]
signalops = host={host} port={server_port} dbname={dbname}
[pgbouncer]
pool_mode = transaction
default_pool_size = 1
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {folder}/users
logfile = {folder}/log
"""


@contextmanager
def pgbouncer(server: Cluster, passwords: Mapping[str, str]) -> Iterator[int]:
    """Run one with a single connection for each login; yield its port."""
    program = which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
    assert program, "pgbouncer is missing: run `apt-get install pgbouncer`, as .ci/run does"
    port, parameters = free_port(), conninfo_to_dict(server.url)
    with TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o777)  # as root it refuses to run: it does as the user of the server
        own = {"folder": folder, "port": port, "dbname": parameters["dbname"]}
        where = {"host": parameters["host"], "server_port": parameters.get("port", 5432)}
        (folder / "users").write_text("".join(f'"{name}" "{password}"\n' for name, password in passwords.items()))
        (folder / "ini").write_text(CONFIG.format(**own, **where))
        process = subprocess.Popen([program, "--quiet", f"{folder}/ini"], user=server.user)
        try:
            _await(port, process, folder / "log")
            yield port
        finally:
            process.terminate()
            process.wait(10)


def _await(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 10
    while True:
        with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return
        log_text = log.read_text() if log.exists() else "nothing"
        assert process.poll() is None, log_text
        assert time.monotonic() < until, log_text
        time.sleep(0.02)
