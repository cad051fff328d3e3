-- Station usage: credits, and what became of them.

-- grant-credit: grants a tenant credit
select signalops.grant_credit(%(tenant)s, %(amount)s, %(currency)s, %(reason)s, %(author)s, %(priority)s::smallint, %(expires_at)s,
  %(idempotency_key)s, %(body_hash)s);

-- find-grant: the grant that was sent with an idempotency key
select id, body_hash from signalops.credit_grants where tenant_id = %(tenant)s and idempotency_key = %(key)s;

-- read-grant: a grant, used up or not
select id, amount, remaining, currency, priority, expires_at as "expiresAt", reason, created_at as "createdAt"
from signalops.credit_grants where tenant_id = %(tenant)s and id = %(id)s;

-- list-credits: what a tenant has left and may use, in the order in which invoices burn it
select id, amount, remaining, currency, priority, expires_at as "expiresAt", reason, author, created_at as "createdAt"
from signalops.credit_grants
where tenant_id = %(tenant)s and remaining > 0 and (expires_at is null or expires_at > now())
order by currency, priority, expires_at nulls last, created_at, id;

-- list-credit-entries: a page of a tenant's movements of credit between two ids
select e.id, e.kind, e.amount, g.currency, e.grant_id as "grant", g.reason, e.invoice_id as invoice, e.created_at as "createdAt"
from signalops.credit_entries e
join signalops.credit_grants g on g.tenant_id = e.tenant_id and g.id = e.grant_id
where e.tenant_id = %(tenant)s and e.id > %(lower)s and e.id < %(upper)s
order by case when %(upwards)s then e.id end, e.id desc
limit %(limit)s;

-- burn-credits: has an invoice use up to an amount of the tenant's credit; how much it was
select signalops.burn_credits(%(tenant)s, %(invoice)s, %(currency)s, %(at_most)s);

-- expire-credits: writes off what is left of expired grants, of all tenants; of how many
select signalops.expire_credits(%(at_most)s);
