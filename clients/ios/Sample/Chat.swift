import SalonoRoom

/// Talks in a room from a terminal: what is typed is said, what happens is printed. Arguments: URL, room, name.
///
/// An app does the same in its model: reads the events in a task of its own, and calls the client from wherever it likes.
@main
struct Chat {
    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 4 else {
            print("usage: Chat URL ROOM USER")
            return
        }
        let (url, room, user) = (arguments[1], arguments[2], arguments[3])
        // The certificate of a server that makes its own proves nothing; leave `trust` out elsewhere.
        let client = try await RoomClient.connect(url: url, options: ClientOptions(trust: .anybody))
        let join = JoinOptions(room: room, user: user)
        for peer in try await client.join(options: join).peers {
            print("\(peer.user) is here")
        }
        let listening = Task {
            for await event in client.events {
                switch event {
                case .participantJoined(let user): print("\(user) comes in")
                case .participantLeft(let user): print("\(user) leaves")
                case .messageReceived(_, let user, let message): print("\(user): \(message)")
                case .reconnected(let resumed):
                    if !resumed { _ = try await client.join(options: join) }
                default: print("(\(event))")
                }
            }
        }
        let typing = Task.detached {
            while let line = readLine() {
                try await client.sendMessage(user: user, room: room, message: line)
            }
        }
        try await typing.value
        await client.disconnect()
        try await listening.value
    }
}
