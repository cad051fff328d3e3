"""Tenants: creates, changes, suspends and closes them, for HTTP and the command line alike.

Input: requests of operators, by HTTP in the role signalops_platform or by command as the owner. Writes: tenants; plans, limits
and keys are written by their packages. Output: the status by which keys and tokens are refused; NOTIFY announces its changes to
every process. Invariant: one request is one transaction for one tenant, whose row it locks before it changes anything;
signalops.check_status_change allows only valid changes of a status, whoever makes them.
"""
