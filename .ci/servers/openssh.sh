#!/bin/sh
# An SSH server and client (OpenSSH), for tests that start the server on a port of their own. Debian and Ubuntu, as root.
set -eu
"$(dirname "$0")/install.sh" ssh openssh-client
exec "$(dirname "$0")/install.sh" sshd openssh-server
