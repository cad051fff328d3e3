"""Logs: one line per unit of work, from the events of `telemetry.py`; lines of libraries have the same form.

`lines.py` selects the events that are logged, `form.py` formats a line, `record.py` keeps untrusted input from forging one.
"""

from signalops.logs.form import install as install
from signalops.logs.lines import lines_of as lines_of
