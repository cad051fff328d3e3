-- Removes the job queue and every job in it; the schema itself stays for the next installation.

drop schema procrastinate cascade;
create schema procrastinate authorization signalops_owner;
comment on schema procrastinate is 'The job queue, as the procrastinate library ships it.';
