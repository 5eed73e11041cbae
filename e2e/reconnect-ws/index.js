/**
 * What the package `kurento-client` takes from a git repository instead of the registry: a stream over a WebSocket
 * that reconnects. Same call, same events; text frames, which the Kurento Protocol is made of.
 */

"use strict";

const reconnecting = require("reconnect-core");
const websocket = require("websocket-stream");

module.exports = reconnecting((url, options) => websocket(url, Object.assign({}, options, { binary: false })));
