#!/usr/bin/env bash
# Makes a Debian package out of built programs: make-deb.sh FOLDER-WITH-PROGRAMS OUTPUT-FOLDER [VERSION].
# Prints the package's path.
set -euo pipefail

programs=$1
output=$2
here=$(cd "$(dirname "$0")/.." && pwd)
version=${3:-$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' "$here/Cargo.toml")}
architecture=$(dpkg --print-architecture)

command -v dpkg-deb >/dev/null || { echo "dpkg-deb is missing: packages are made on Debian or Ubuntu." >&2; exit 1; }
for program in salono salono-processor; do
    [ -x "$programs/$program" ] || { echo "no $programs/$program: run make build first." >&2; exit 1; }
done

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
chmod 755 "$tree"
install -D -m 755 -t "$tree/usr/bin" "$programs/salono" "$programs/salono-processor"
strip --strip-unneeded "$tree/usr/bin/"*
install -D -m 644 "$here/packaging/salono.service" "$tree/usr/lib/systemd/system/salono.service"
install -D -m 644 "$here/packaging/salono.sysusers" "$tree/usr/lib/sysusers.d/salono.conf"
install -D -m 644 "$here/packaging/salono.toml" "$tree/etc/salono/salono.toml"
install -D -m 644 -t "$tree/usr/share/doc/salono" "$here/README.md" "$here/docs/config.md" "$here/LICENSE"
install -D -m 755 -t "$tree/DEBIAN" "$here/packaging/debian/"*
echo /etc/salono/salono.toml >"$tree/DEBIAN/conffiles"
size=$(du -sk --exclude=DEBIAN "$tree" | cut -f1)
cat >"$tree/DEBIAN/control" <<END
Package: salono
Version: $version
Architecture: $architecture
Maintainer: The Salono authors <salono@localhost>
Installed-Size: $size
Section: video
Priority: optional
Depends: libc6, libgcc-s1, libstdc++6
Recommends: gstreamer1.0-plugins-base, gstreamer1.0-plugins-good, gstreamer1.0-plugins-bad, gstreamer1.0-plugins-ugly, gstreamer1.0-libav, gstreamer1.0-opencv, gstreamer1.0-x, opencv-data, ca-certificates
Description: media and room server for video calls
 WebRTC media server that speaks the Kurento Protocol, and room server that
 speaks the protocol of Kurento Room, in one program. Forwarding needs nothing
 else; recording, playback, mixing, transcoding and filters need the
 recommended packages.
END
mkdir -p "$output"
package=$output/salono_${version}_$architecture.deb
dpkg-deb --build --root-owner-group "$tree" "$package" >/dev/null
echo "$package"
