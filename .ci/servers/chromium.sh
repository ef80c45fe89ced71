#!/bin/sh
# What the browser tests need, from Debian's own packages: Chromium and node.js. Needs root, or sudo.
set -eu
if command -v chromium >/dev/null && command -v node >/dev/null; then
    exit 0
fi
as_root=""
if [ "$(id -u)" -ne 0 ]; then
    as_root="sudo"
fi
$as_root apt-get update -qq
packages="chromium"
command -v node >/dev/null || packages="$packages nodejs"
# shellcheck disable=SC2086  # two words are meant
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages
