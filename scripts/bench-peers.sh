#!/usr/bin/env bash
# Sets up the servers that `salono bench sfu` compares with: installs Janus from Debian's packages if
# it is missing and writes a configuration for the loopback interface to the folder given (default:
# target/peers). Starts nothing: the benchmark does, and ends it.
set -euo pipefail

folder=${1:-target/peers}
port=${JANUS_PORT:-18188}

have() { command -v "$1" >/dev/null 2>&1; }

if ! have janus; then
    if ! have apt-get; then
        echo "Janus is missing: install the program janus, then run make bench-peers again." >&2
        exit 1
    fi
    as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        if ! have sudo; then
            echo "Janus is missing. As root: apt-get install janus" >&2
            exit 1
        fi
        as_root=(sudo)
    fi
    echo "installing: janus"
    # RUNLEVEL keeps the package from starting its service; another apt may be at work.
    apt=(env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -o DPkg::Lock::Timeout=900 -q)
    "${as_root[@]}" "${apt[@]}" update
    "${as_root[@]}" "${apt[@]}" install -y --no-install-recommends janus
    # Nor shall it start with the system.
    if have systemctl; then
        "${as_root[@]}" systemctl disable --quiet janus 2>/dev/null || true
    fi
fi

# Plugins and transports that are not needed stay off. Half trickle: candidates come with the session
# description. Janus always leaves the loopback interface out and uses another address of this machine,
# but what is sent to that from here goes over the loopback interface all the same.
configure() {
    mkdir -p "$1"
    cat >"$1/janus.jcfg" <<END
general: {
	debug_level = 2
	session_timeout = 0
	event_loops = $2
}
media: {
	rtp_port_range = "20000-59999"
	slowlink_threshold = 0
}
nat: {
	nice_debug = false
	full_trickle = false
}
plugins: {
	disable = "libjanus_audiobridge.so,libjanus_duktape.so,libjanus_echotest.so,libjanus_lua.so,libjanus_nosip.so,libjanus_recordplay.so,libjanus_sip.so,libjanus_streaming.so,libjanus_textroom.so,libjanus_videocall.so,libjanus_voicemail.so"
}
transports: {
	disable = "libjanus_http.so,libjanus_mqtt.so,libjanus_nanomsg.so,libjanus_pfunix.so,libjanus_rabbitmq.so"
}
events: {
	broadcast = false
}
END
    cat >"$1/janus.transport.websockets.jcfg" <<END
general: {
	json = "compact"
	ws = true
	ws_port = $port
	ws_ip = "127.0.0.1"
	wss = false
}
admin: {
	admin_ws = false
}
END
    echo 'general: {}' >"$1/janus.plugin.videoroom.jcfg"
}

# Its default is a thread for each connection; for many of them its manual has event loops.
configure "$folder/janus" 0
configure "$folder/janus-loops" "$(nproc)"
echo "Janus is set up in $folder/janus and $folder/janus-loops"
