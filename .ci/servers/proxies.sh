#!/bin/sh
# Real proxies for tests: SOCKS5 and HTTP CONNECT. Debian and Ubuntu, as root.
set -eu
"$(dirname "$0")/install.sh" microsocks microsocks
exec "$(dirname "$0")/install.sh" tinyproxy tinyproxy
