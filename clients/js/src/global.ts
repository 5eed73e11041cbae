/** Entry point of the browser global: defines `KurentoRoom` for pages without modules. */

import { KurentoRoom } from "./kurento-room.js";

Object.assign(globalThis, { KurentoRoom });
