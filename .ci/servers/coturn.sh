#!/bin/sh
# A TURN server (coturn), for tests that start it on a port of their own. Debian and Ubuntu, as root. Nothing is started here.
set -eu
exec "$(dirname "$0")/install.sh" turnserver coturn
