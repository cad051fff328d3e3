-- Plans, credits, and billing periods that are sealed and invoiced.

drop table signalops.retired_invoice_numbers;
drop table signalops.invoice_numbers;
drop table signalops.invoice_lines;
drop table signalops.invoices;
drop table signalops.usage_hash_chain;
drop table signalops.usage_daily;
drop table signalops.billing_periods;
drop table signalops.credit_entries;
drop table signalops.credit_grants;
drop table signalops.subscriptions;
drop table signalops.plans;
