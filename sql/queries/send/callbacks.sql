-- Station send: what providers call back, and suppressed addresses. In a transaction of the tenant, except the first.

-- find-called-channel: whose channel is called back, and its sealed secret, before any tenant is known
select tenant_id, secret from signalops.find_called_channel(%(channel)s);

-- apply-provider-status: moves a delivery to what its provider says of a message; a channel's provider speaks for that channel alone
select signalops.apply_provider_status(
  case when %(delivery)s::uuid is null then signalops.find_sent(%(tenant)s, %(channel)s::uuid, %(provider)s) else (
    select d.id from signalops.deliveries d
    where d.tenant_id = %(tenant)s and d.id = %(delivery)s and (%(channel)s::uuid is null or d.channel_id = %(channel)s)) end,
  %(provider)s, %(status)s, %(error)s);

-- suppress-address: takes an address off for which there is a delivery of the tenant
insert into signalops.suppressions (tenant_id, id, address, reason, detail, delivery_id)
select %(tenant)s, %(id)s, %(address)s, %(reason)s, %(detail)s, d.id
from signalops.deliveries d where d.tenant_id = %(tenant)s and d.id = %(delivery)s
on conflict (tenant_id, address) do nothing;

-- list-suppressions: a tenant's suppressions between two ids, of one address or all
select id, address, reason, detail, delivery_id as delivery, created_at as "createdAt" from signalops.suppressions
where tenant_id = %(tenant)s and id > %(lower)s and id < %(upper)s and (%(address)s::text is null or address = %(address)s)
order by case when %(upwards)s then id end, id desc
limit %(limit)s;

-- remove-suppression: lets mail be sent to an address again
delete from signalops.suppressions where tenant_id = %(tenant)s and id = %(id)s
returning id, address, reason, detail, delivery_id as delivery, created_at as "createdAt";
