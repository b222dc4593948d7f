#!/bin/sh
# Makes the secrets of compose.yaml in ./secrets. It never replaces one that is there.
#
# The containers run as users of their own and must read the files, so the files are readable by all;
# the directory is yours alone, and keeps everybody else on this machine out.
set -eu

directory=${1:-secrets}
if [ -e "$directory" ]; then
    echo "$directory exists already; nothing was changed. Remove it first if you want new secrets." >&2
    exit 1
fi

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
postgres=$(random)
ledger=$(random)
example_bot=$(random)

mkdir -m 0700 "$directory"
cd "$directory"
umask 0333
printf '%s' "$postgres" > postgres_password
printf 'postgresql://botledger:%s@postgres:5432/botledger' "$postgres" > owner_url
cp owner_url database_url
printf 'ledger_password: "%s"\nexample_bot_password: "%s"\n' "$ledger" "$example_bot" > nats_passwords
printf 'nats://ledger:%s@nats:4222' "$ledger" > ledger_nats_url
printf 'nats://ExampleBot:%s@nats:4222' "$example_bot" > example_bot_nats_url
