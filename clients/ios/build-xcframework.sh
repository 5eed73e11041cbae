#!/usr/bin/env bash
# Builds the library behind the Swift package for devices, simulators and Macs. Needs a Mac with Xcode and Rust.
set -euo pipefail
cd "$(dirname "$0")"

library=libsalono_room_ffi.a
targets=(aarch64-apple-ios aarch64-apple-ios-sim x86_64-apple-ios aarch64-apple-darwin)
built=$(cargo metadata --no-deps --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')

rustup target add "${targets[@]}"
for target in "${targets[@]}"; do
    cargo build --release --locked -p salono-room-client-ffi --target "$target"
done

# Simulators of both kinds of Mac share one library.
mkdir -p "$built/ios-simulator"
lipo -create -output "$built/ios-simulator/$library" \
    "$built/aarch64-apple-ios-sim/release/$library" "$built/x86_64-apple-ios/release/$library"

rm -rf SalonoRoomFFI.xcframework
xcodebuild -create-xcframework -output SalonoRoomFFI.xcframework \
    -library "$built/aarch64-apple-ios/release/$library" -headers Headers \
    -library "$built/ios-simulator/$library" -headers Headers \
    -library "$built/aarch64-apple-darwin/release/$library" -headers Headers
