#!/usr/bin/env bash
# Installs the system packages that building (and, with `test`, testing) needs and that are
# missing. Debian and Ubuntu; elsewhere it says what is missing. Does nothing when all is there.
set -euo pipefail

purpose=${1:-build}
packages=()

have() { command -v "$1" >/dev/null 2>&1; }

# The cryptographic library is C with a cmake build; the page's script is bundled by node.
have cc || packages+=(gcc libc6-dev)
have c++ || packages+=(g++)
have cmake || packages+=(cmake)
have make || packages+=(make)
# OpenSSL speaks DTLS and is linked statically.
have pkg-config || packages+=(pkg-config)
[ -n "${OPENSSL_DIR:-}" ] || { have pkg-config && pkg-config --exists 'openssl >= 1.1.1'; } ||
    packages+=(libssl-dev)
# The media processor is built against GStreamer, and finds its plugins when it runs.
if ! { have pkg-config && pkg-config --exists 'gstreamer-app-1.0 >= 1.22' gstreamer-video-1.0; }; then
    packages+=(libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev)
fi
plugins=$(pkg-config --variable=pluginsdir gstreamer-1.0 2>/dev/null || true)
for plugin in base:opus good:vpx bad:videoparsersbad ugly:x264; do
    [ -e "$plugins/libgst${plugin#*:}.so" ] || packages+=("gstreamer1.0-plugins-${plugin%:*}")
done
[ -e "$plugins/libgstlibav.so" ] || packages+=(gstreamer1.0-libav)
# Faces are found by OpenCV, with what it has learnt.
[ -e "$plugins/libgstopencv.so" ] || packages+=(gstreamer1.0-opencv)
[ -d /usr/share/opencv4/haarcascades ] || packages+=(opencv-data)
# Labels of composed pictures are set by Pango.
[ -e "$plugins/libgstpango.so" ] || packages+=(gstreamer1.0-x)
have node || packages+=(nodejs)
have npm || packages+=(npm)
if [ "$purpose" = test ]; then
    # The end-to-end tests drive a real browser.
    have chromium || have chromium-browser || have google-chrome ||
        packages+=(chromium fonts-dejavu-core)
    # And Firefox, where the distribution has the one with long support.
    { have firefox-esr || ! apt-cache show firefox-esr >/dev/null 2>&1; } || packages+=(firefox-esr)
    # The example modules: elements of GStreamer in Python.
    [ -e "$plugins/libgstpython.so" ] || packages+=(gstreamer1.0-python3-plugin-loader python3-gst-1.0)
    # RTP endpoints are tested with the programs that people use, and a SIP caller.
    have ffmpeg || packages+=(ffmpeg)
    have gst-launch-1.0 || packages+=(gstreamer1.0-tools)
    have sipp || packages+=(sip-tester)
    # As root they run in a network namespace of their own.
    have ip || packages+=(iproute2)
    # Calls by way of a real TURN server.
    have turnserver || packages+=(coturn)
    # A program with Kurento's Java client; a runtime alone has no compiler.
    have javac || packages+=(default-jdk-headless)
    have mvn || packages+=(maven)
    have openssl || packages+=(openssl)
    # Instructions per forwarded packet are counted by callgrind.
    have valgrind || packages+=(valgrind)
fi

if ! have cargo; then
    echo "cargo is missing: install Rust from https://rustup.rs, then run make again." >&2
    exit 1
fi
if [ ${#packages[@]} -eq 0 ]; then
    exit 0
fi
if ! have apt-get; then
    echo "missing: ${packages[*]} (names of Debian's packages). Install them, then run make again." >&2
    exit 1
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! have sudo; then
        echo "missing: ${packages[*]}. As root: apt-get install ${packages[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi
echo "installing: ${packages[*]}"
# Another apt may be at work, as after the start of a machine.
apt=(env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=900 -q)
"${as_root[@]}" "${apt[@]}" update
"${as_root[@]}" "${apt[@]}" install -y --no-install-recommends "${packages[@]}"
