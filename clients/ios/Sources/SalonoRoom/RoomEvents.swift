/// What happens in a room, as a stream.
extension RoomClient {
    /// What happens, in order; ends with the client.
    ///
    /// To be read in one place of an application, which hands events on to others. Reading may stop and begin again with
    /// another stream: what waits for the application waits in the client, up to `ClientOptions.maxEvents`.
    public var events: AsyncStream<RoomEvent> {
        AsyncStream { await self.nextEvent() }
    }
}
