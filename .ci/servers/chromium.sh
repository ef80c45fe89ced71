#!/bin/sh
# What the proofs with a browser need: Chromium, from the system's packages.
set -eu
cd "$(dirname "$0")"
sh install.sh chromium chromium
