"""Sends a message every second, and answers those that come."""

import threading

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GObject, Gst

Gst.init(None)


class KmsSendData(Gst.Element):
    __gstmetadata__ = ("Send data", "Source/Data", "Sends messages", "Salono")
    # Salono listens to the one and calls the other.
    __gsignals__ = {
        "send-data": (GObject.SignalFlags.RUN_LAST, None, (str,)),
        "receive-data": (GObject.SignalFlags.RUN_LAST | GObject.SignalFlags.ACTION, None, (str,)),
    }

    def __init__(self):
        super().__init__()
        self.stopped = threading.Event()

    def do_change_state(self, transition):
        if transition == Gst.StateChange.READY_TO_PAUSED:
            self.stopped.clear()
            threading.Thread(target=self.speak, daemon=True).start()
        elif transition == Gst.StateChange.PAUSED_TO_READY:
            self.stopped.set()
        return Gst.Element.do_change_state(self, transition)

    def speak(self):
        number = 0
        while not self.stopped.wait(1):
            number += 1
            self.emit("send-data", f"message {number}")

    def do_receive_data(self, text):
        self.emit("send-data", f"you said: {text}")


GObject.type_register(KmsSendData)
__gstelementfactory__ = ("kmssenddata", Gst.Rank.NONE, KmsSendData)
