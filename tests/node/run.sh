#!/bin/sh
# Runs one test program with Node; 77 (skipped) where Node or its package jose is not there.
NODE_PATH=${NODE_PATH:+$NODE_PATH:}/usr/share/nodejs:/usr/lib/nodejs
export NODE_PATH
node=$(command -v node || command -v nodejs) || {
    echo "skipped: there is no node; ./dev deps installs it (package nodejs)" >&2
    exit 77
}
"$node" -e 'require("node:test"); require("jose")' 2>/dev/null || {
    echo "skipped: node $("$node" --version) has no jose or no node:test; ./dev deps installs node-jose" >&2
    exit 77
}
exec "$node" "$1"
