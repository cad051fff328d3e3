"""The logs: a line for each unit of work, told by the facts; and the lines of the libraries, all in one form.

`record.py` keeps what nobody may forge or find, `lines.py` which fact is worth a line, `form.py` how a line looks.
"""

from signalops.logs.form import install as install
from signalops.logs.lines import lines_of as lines_of
