#!/bin/sh
# What the browser tests need: Chromium and node.js, from the system's packages.
set -eu
cd "$(dirname "$0")"
sh install.sh chromium chromium
sh install.sh node nodejs
