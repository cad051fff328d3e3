"""The diagnosis of an installation: every check with what it found and, when that is not well, how to mend it.

`database.py` asks the server and the schema, which is held against `sql/catalogue.txt`; `reach.py` what a process needs besides:
notifications that arrive, certificates, the secret key, the mail server. The queries are those of `sql/queries/watch/doctor.sql`;
each returns whether all is well, and what it found.
"""

from signalops.watch.doctor.diagnose import diagnose as diagnose
from signalops.watch.doctor.finding import Finding as Finding
