"""Station 7, WATCH: what became of an event, whether the process is well, what is wrong with the installation.

Comes in: questions. Goes out: the path of one event, health, a diagnosis. Writes: nothing.
"""
