"""Diagnosis of an installation: each check with its finding and, for a fault, the remedy.

`database.py` checks the server and compares the schema with `sql/catalogue.txt`; `reach.py` checks what a process needs besides:
notifications, certificates, the secret key, the mail server. The queries are in `sql/queries/watch/doctor.sql`; each returns
whether the check passes, and its finding.
"""

from signalops.watch.doctor.diagnose import diagnose as diagnose
from signalops.watch.doctor.finding import Finding as Finding
