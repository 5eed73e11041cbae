import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withContext
import salono.room.ClientOptions
import salono.room.JoinOptions
import salono.room.RoomClient
import salono.room.RoomEvent
import salono.room.ServerTrust
import salono.room.events

/**
 * Talks in a room from a terminal: what is typed is said, what happens is printed. Arguments: URL, room, name.
 *
 * An app does the same in its view model: collects the events in `viewModelScope`, and calls the client from there.
 */
object Chat {
    @JvmStatic
    fun main(args: Array<String>) = runBlocking {
        val (url, room, user) = args
        // The certificate of a server that makes its own proves nothing; leave `trust` out elsewhere.
        val client = RoomClient.connect(url, ClientOptions(trust = ServerTrust.Anybody))
        client.use { talk(it, room, user) }
    }

    private suspend fun talk(client: RoomClient, room: String, user: String) = coroutineScope {
        val join = JoinOptions(room = room, user = user)
        client.join(join).peers.forEach { println("${it.user} is here") }
        val listening = launch {
            client.events().collect { event ->
                when (event) {
                    is RoomEvent.ParticipantJoined -> println("${event.user} comes in")
                    is RoomEvent.ParticipantLeft -> println("${event.user} leaves")
                    is RoomEvent.MessageReceived -> println("${event.user}: ${event.message}")
                    is RoomEvent.Reconnected -> if (!event.resumed) client.join(join)
                    else -> println("($event)")
                }
            }
        }
        while (true) {
            val line = withContext(Dispatchers.IO) { readlnOrNull() } ?: break
            client.sendMessage(user, room, line)
        }
        client.disconnect()
        listening.join()
    }
}
