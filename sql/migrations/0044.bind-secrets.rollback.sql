-- Station send: a channel's secret goes only where it was given for; whoever changes that, by whatever way, must have the secret.

drop trigger bind_secret on signalops.channels;
drop function signalops.bind_secret();
drop function signalops.secret_destination(text, jsonb);
