#!/bin/sh
# PostgreSQL, server and psql, for tests that make a database of their own. Debian and Ubuntu, as root.
set -eu
# Debian keeps the server's programs out of the PATH, by version.
for version in 13 14 15 16 17 18; do PATH="$PATH:/usr/lib/postgresql/$version/bin"; done
export PATH
"$(dirname "$0")/install.sh" psql postgresql-client
exec "$(dirname "$0")/install.sh" initdb postgresql
