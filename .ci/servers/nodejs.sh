#!/bin/sh
# What the tests of litz.js need: node.js, from the system's packages.
set -eu
cd "$(dirname "$0")"
sh install.sh node nodejs
