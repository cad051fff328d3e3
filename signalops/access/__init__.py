"""Authentication and authorization: an API key or a token becomes a tenant and scopes.

Input: the headers of a request, and the client's address. Output: a Caller or an Operator, or a refusal (401, 403, 429).
Writes: api_keys. Invariant: a verified key is cached, so that bcrypt is paid once per key and process at most; a revoked key is
refused everywhere as soon as its revocation is committed and notified; no key grants a scope that it lacks.
"""
