"""Logs: one line per unit of work, made of the facts that the code emits; lines of libraries have the same form.

`lines.py` says which fact has a line, `form.py` how a line looks, `record.py` keeps untrusted input from forging a line.
"""

from signalops.logs.form import install as install
from signalops.logs.lines import lines_of as lines_of
