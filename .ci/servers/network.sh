#!/bin/sh
# What tests need to make network namespaces of their own. Debian and Ubuntu, as root.
set -eu
"$(dirname "$0")/install.sh" ip iproute2
exec "$(dirname "$0")/install.sh" iptables iptables
