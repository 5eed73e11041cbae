import java.nio.file.Files
import java.nio.file.Path
import kotlin.system.exitProcess
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.Job
import kotlinx.coroutines.async
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.channels.ReceiveChannel
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withContext
import kotlinx.coroutines.withTimeout
import salono.room.Candidate
import salono.room.ClientOptions
import salono.room.JoinOptions
import salono.room.RoomClient
import salono.room.RoomEvent
import salono.room.RoomException
import salono.room.RoomListener
import salono.room.ServerTrust
import salono.room.StreamRef
import salono.room.VideoPreference
import salono.room.events
import salono.room.listen

private const val PATIENCE_MS = 20_000L

/**
 * What an app does with the Kotlin client. Every kept promise is a line "ok"; "cut" asks whoever runs it to cut the
 * connections of the first address, and to say when done. Arguments: an address by way of a cable that can be cut, one
 * with TLS, a browser's offer to send, a browser's offer to receive.
 */
fun main(args: Array<String>) {
    try {
        runBlocking { withTimeout(120_000) { Room(args[0], args[1], read(args[2]), read(args[3])).run() } }
        println("end")
    } catch (failure: Throwable) {
        failure.printStackTrace()
        exitProcess(1)
    }
    exitProcess(0)
}

private fun read(path: String) = Files.readString(Path.of(path)).replace(Regex("\r?\n"), "\r\n")

private fun ok(promise: String, kept: Boolean) {
    if (!kept) throw AssertionError(promise)
    println("ok $promise")
}

/** Somebody with a client, and what that tells. */
private class Participant(val client: RoomClient, scope: CoroutineScope) {
    private val heard = Channel<RoomEvent>(Channel.UNLIMITED)
    val listening: Job = scope.launch {
        client.events().collect { heard.send(it) }
        heard.close()
    }
    val events: ReceiveChannel<RoomEvent> get() = heard

    /** The next event of this type; candidates come whenever they like and are passed over. */
    suspend inline fun <reified T : RoomEvent> hear(): T = withTimeout(PATIENCE_MS) {
        while (true) {
            val event = events.receive()
            if (event is T) return@withTimeout event
            if (event !is RoomEvent.IceCandidateFound) throw AssertionError("${T::class.simpleName} was to come, but: $event")
        }
        @Suppress("UNREACHABLE_CODE") error("never")
    }
}

private class Room(val url: String, val tls: String, val sending: String, val receiving: String) {
    private val candidate = Candidate("candidate:1 1 udp 2130706431 127.0.0.1 9 typ host", "0", 0)

    suspend fun run() = coroutineScope {
        val ann = Participant(RoomClient.connect(url, ClientOptions()), this)
        ok("the first in a room is alone", ann.client.join(JoinOptions("kotlin", "ann")).peers.isEmpty())
        val bob = Participant(RoomClient.connect(tls, ClientOptions(trust = ServerTrust.Anybody)), this)
        val peers = bob.client.join(JoinOptions("kotlin", "bob")).peers
        ok("the second sees the first", peers.single().user == "ann" && peers.single().streams.isEmpty())
        ok("the first hears of the second", ann.hear<RoomEvent.ParticipantJoined>().user == "bob")

        refusals(ann, bob)
        media(ann, bob)
        talk(ann, bob)
        accidents(ann, bob)
        goodbyes(ann, bob)
    }

    private suspend fun refusals(ann: Participant, bob: Participant) {
        val taken = failure { RoomClient.connect(url, ClientOptions()).use { it.join(JoinOptions("kotlin", "ann")) } }
        ok("a refusal has its code and its meaning",
            taken is RoomException.Refused && taken.code == 104 && taken.symbol == "EXISTING_USER_IN_ROOM")
        val silent = failure { bob.client.subscribe(StreamRef("ann"), receiving) }
        ok("who does not publish cannot be seen", silent is RoomException.Refused && silent.code == 105)
        ok("what is no JSON is not sent", failure { ann.client.customRequest("{") } is RoomException.Argument)
        val unheard = failure { ann.client.customRequest("""{"unheard": "of"}""") }
        ok("what no application knows is refused", unheard is RoomException.Refused && unheard.code == -1)
        ok("nobody there is an error", failure { RoomClient.connect("ws://127.0.0.1:1/room", ClientOptions()) } is RoomException.Connect)
        ok("a server that proves nothing is not believed", failure { RoomClient.connect(tls, ClientOptions()) } is RoomException.Connect)
        val noRoots = ClientOptions(trust = ServerTrust.Roots("no certificate"))
        ok("certificates that are none are an error", failure { RoomClient.connect(tls, noRoots) } is RoomException.Argument)
    }

    private suspend fun media(ann: Participant, bob: Participant) {
        ok("what is published is answered", isAnswer(ann.client.publish(sending)))
        val found = ann.hear<RoomEvent.IceCandidateFound>()
        ok("with ways to send it", found.user == "ann" && found.stream == "webcam" && " typ " in found.candidate.candidate)
        val published = bob.hear<RoomEvent.ParticipantPublished>()
        ok("others hear of it", published.user == "ann" && published.streams == listOf("webcam"))
        ann.client.addIceCandidate(StreamRef("ann"), candidate)
        ok("what is received is answered", isAnswer(bob.client.subscribe(StreamRef("ann"), receiving)))
        ok("with ways to receive it", bob.hear<RoomEvent.IceCandidateFound>().user == "ann")
        bob.client.addIceCandidate(StreamRef("ann"), candidate)
        bob.client.setVideoPreferences(listOf(VideoPreference(StreamRef("ann"), 180u, 1u)))
        bob.client.unsubscribe(StreamRef("ann"))
        ok("candidates and preferences are taken, and receiving ends", true)
        ann.client.unpublish()
        ok("others hear that it has ended", bob.hear<RoomEvent.ParticipantUnpublished>().user == "ann")
    }

    private suspend fun talk(ann: Participant, bob: Participant) = coroutineScope {
        bob.client.sendMessage("bob", "kotlin", "<b>hello</b> ☺")
        for (participant in listOf(ann, bob)) {
            ok("chat reaches everybody as it was written",
                participant.hear<RoomEvent.MessageReceived>() == RoomEvent.MessageReceived("kotlin", "bob", "<b>hello</b> ☺"))
        }
        (1..100).map { async { ann.client.sendMessage("ann", "kotlin", "$it") } }.forEach { it.await() }
        val said = (1..100).map { bob.hear<RoomEvent.MessageReceived>().message }.toSet()
        repeat(100) { ann.hear<RoomEvent.MessageReceived>() }
        ok("a hundred at once are all heard", said.size == 100)
    }

    private suspend fun accidents(ann: Participant, bob: Participant) {
        order("cut")
        ann.hear<RoomEvent.Disconnected>()
        ok("a lost connection is opened again, and the place kept", ann.hear<RoomEvent.Reconnected>().resumed)
        ann.client.networkChanged()
        ann.hear<RoomEvent.Disconnected>()
        ok("a change of network is survived", ann.hear<RoomEvent.Reconnected>().resumed && ann.client.isConnected())
        bob.client.sendMessage("bob", "kotlin", "still there?")
        ok("nothing is lost by it", ann.hear<RoomEvent.MessageReceived>().message == "still there?")
        ok("others have seen nothing of it", bob.hear<RoomEvent.MessageReceived>().message == "still there?")
    }

    private suspend fun goodbyes(ann: Participant, bob: Participant) = coroutineScope {
        ann.client.leave()
        ok("others hear who leaves", bob.hear<RoomEvent.ParticipantLeft>().user == "ann")
        ok("who has left comes back", ann.client.join(JoinOptions("kotlin", "ann")).peers.single().user == "bob")
        bob.hear<RoomEvent.ParticipantJoined>()

        val released = RoomClient.connect(url, ClientOptions())
        released.join(JoinOptions("kotlin", "carl"))
        bob.hear<RoomEvent.ParticipantJoined>()
        released.close()
        ok("who is released leaves", bob.hear<RoomEvent.ParticipantLeft>().user == "carl")

        val ended = Channel<String>(1)
        val dora = RoomClient.connect(url, ClientOptions())
        val joined = Channel<String>(1)
        val listening = dora.listen(CoroutineScope(Dispatchers.Default), object : RoomListener {
            override fun onEvent(event: RoomEvent) {
                if (event is RoomEvent.MessageReceived) joined.trySend(event.message)
            }

            override fun onEnd() {
                ended.trySend("end")
            }
        })
        dora.join(JoinOptions("other", "dora"))
        dora.sendMessage("dora", "other", "to myself")
        ok("listeners hear, too", withTimeout(PATIENCE_MS) { joined.receive() } == "to myself")
        dora.disconnect()
        ok("and are told of the end", withTimeout(PATIENCE_MS) { ended.receive() } == "end")
        listening.join()
        ok("after the end nothing is answered", failure { dora.leave() } is RoomException.Closed)

        ann.client.disconnect()
        ok("who disconnects leaves at once", bob.hear<RoomEvent.ParticipantLeft>().user == "ann")
        withTimeout(PATIENCE_MS) { ann.listening.join() }
        bob.client.disconnect()
        withTimeout(PATIENCE_MS) { bob.listening.join() }
        ok("and all events have ended", true)
    }

    private fun isAnswer(description: String) =
        description.startsWith("v=0\r\n") && "m=video" in description && "a=fingerprint:" in description

    private suspend fun failure(attempt: suspend () -> Unit): Throwable? = try {
        attempt()
        null
    } catch (failure: RoomException) {
        failure
    }

    private suspend fun order(what: String) = withContext(Dispatchers.IO) {
        println(what)
        check(readln() == "done")
    }
}
