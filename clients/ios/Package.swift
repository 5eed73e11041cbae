// swift-tools-version:5.9
import PackageDescription

let package = Package(
    name: "SalonoRoom",
    platforms: [.iOS(.v15), .macOS(.v12)],
    products: [.library(name: "SalonoRoom", targets: ["SalonoRoom"])],
    targets: [
        // Made by build-xcframework.sh.
        .binaryTarget(name: "SalonoRoomFFI", path: "SalonoRoomFFI.xcframework"),
        .target(
            name: "SalonoRoom",
            dependencies: ["SalonoRoomFFI"],
            linkerSettings: [.linkedFramework("Security"), .linkedFramework("CoreFoundation")]
        ),
        .executableTarget(name: "Chat", dependencies: ["SalonoRoom"], path: "Sample"),
    ]
)
