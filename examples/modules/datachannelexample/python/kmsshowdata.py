"""Writes messages of data channels over the video."""

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GObject, Gst

Gst.init(None)


def template(name, direction):
    caps = Gst.Caps.from_string("video/x-raw")
    return Gst.PadTemplate.new(name, direction, Gst.PadPresence.ALWAYS, caps)


class KmsShowData(Gst.Bin):
    __gstmetadata__ = ("Show data", "Filter/Effect/Video", "Writes messages over the video", "Salono")
    __gsttemplates__ = (template("sink", Gst.PadDirection.SINK), template("src", Gst.PadDirection.SRC))
    # Salono calls this action for every message.
    __gsignals__ = {
        "receive-data": (GObject.SignalFlags.RUN_LAST | GObject.SignalFlags.ACTION, None, (str,)),
    }

    def __init__(self):
        super().__init__()
        self.overlay = Gst.ElementFactory.make("textoverlay")
        self.overlay.set_property("font-desc", "Sans Bold 32")
        self.overlay.set_property("valignment", "center")
        self.add(self.overlay)
        for name, inner in (("sink", "video_sink"), ("src", "src")):
            target = self.overlay.get_static_pad(inner)
            self.add_pad(Gst.GhostPad.new_from_template(name, target, self.get_pad_template(name)))

    def do_receive_data(self, text):
        self.overlay.set_property("text", text[:200])


GObject.type_register(KmsShowData)
__gstelementfactory__ = ("kmsshowdata", Gst.Rank.NONE, KmsShowData)
