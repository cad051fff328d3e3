"""Station 1, WHO: an API key becomes a tenant and scopes. Nothing behind it opens before that is known.

Comes in: the header x-api-key, and the client's address. Goes out: a Caller, or a refusal (401, 403, 429).
Writes: tenants, api_keys. Invariant: bcrypt is paid once per key and process, not once per request; a revoked key is
refused everywhere as soon as its revocation is committed and heard of; and no key gives what it lacks.
"""
