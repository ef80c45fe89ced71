#!/bin/sh
# install.sh COMMAND PACKAGE: from the system's packages, unless the command is there already.
set -eu
if command -v "$1" >/dev/null 2>&1; then
    exit 0
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "$1 is missing; on Debian and Ubuntu, as root: apt-get install $2" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
# Debian's packages start their service when they are installed. A test starts its own, and nothing else may run.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
fi
# No `exec`: the trap must run.
apt-get install -y -qq --no-install-recommends "$2" >/dev/null || {
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "$2" >/dev/null
}
command -v "$1" >/dev/null
