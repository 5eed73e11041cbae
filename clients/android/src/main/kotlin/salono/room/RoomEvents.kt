package salono.room

import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Job
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.launch

/**
 * What happens in the room, in order; ends with the client.
 *
 * To be collected in one place of an application, which hands events on to others. Collecting may stop and begin again:
 * nothing is lost in between but what does not fit [ClientOptions.maxEvents].
 */
fun RoomClient.events(): Flow<RoomEvent> = flow {
    while (true) {
        emit(nextEvent() ?: break)
    }
}

/** Hears what happens in a room, for programs without flows. */
fun interface RoomListener {
    /** Something happened. The next event waits until this returns. */
    fun onEvent(event: RoomEvent)

    /** There will be no more events. */
    fun onEnd() {}
}

/** Tells a listener of everything that happens, in this scope, until the client ends or the job is cancelled. */
fun RoomClient.listen(scope: CoroutineScope, listener: RoomListener): Job = scope.launch {
    events().collect(listener::onEvent)
    listener.onEnd()
}
