-- Takes back closing and invoices, with all that was issued.

drop function signalops.issue_invoice(uuid, jsonb, jsonb);
drop function signalops.announce_invoice(signalops.invoices, text, text);
drop function signalops.seal_period(uuid, date);
drop function signalops.digest_days(uuid, date, bytea);
drop function signalops.periods_ready(integer);
drop function signalops.oldest_transaction();
drop function signalops.note_barriers();
drop function signalops.freeze_periods(interval, integer);
drop function signalops.first_period(uuid, text, timestamptz);
drop table signalops.invoice_lines;
drop table signalops.invoices;
drop table signalops.invoice_numbers;
drop table signalops.usage_seals;
drop table signalops.usage_days;
drop table signalops.billing_periods;
