"""Takes pictures from the video at regular intervals and sends them as messages of data channels."""

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, GObject, Gst

Gst.init(None)

ENCODERS = {"PNG": "pngenc", "JPEG": "jpegenc"}


class VideoSampler(Gst.Bin):
    __gstmetadata__ = ("Video sampler", "Sink/Video", "Takes pictures from the video", "Salono")
    # Without a source pad: the video itself passes by.
    __gsttemplates__ = (
        Gst.PadTemplate.new("sink", Gst.PadDirection.SINK, Gst.PadPresence.ALWAYS, Gst.Caps.from_string("video/x-raw")),
    )
    __gsignals__ = {
        "sample-image-delivered": (GObject.SignalFlags.RUN_LAST, None, (bool,)),
        "send-data": (GObject.SignalFlags.RUN_LAST, None, (GLib.Bytes, bool)),
    }
    # The parameters of the constructor, which are set before the element starts.
    frame_period = GObject.Property(type=int, default=1000, minimum=50, maximum=3_600_000)
    image_delivery_method = GObject.Property(type=str, default="NONE")
    image_encoding = GObject.Property(type=str, default="PNG")
    width = GObject.Property(type=int, default=0, minimum=0, maximum=4096)
    height = GObject.Property(type=int, default=0, minimum=0, maximum=4096)
    endpoint_url = GObject.Property(type=str, default="")
    metadata = GObject.Property(type=str, default="")

    def __init__(self):
        super().__init__()
        self.pad = Gst.GhostPad.new_no_target_from_template("sink", self.get_pad_template("sink"))
        self.add_pad(self.pad)
        self.made = False

    def do_change_state(self, transition):
        if transition == Gst.StateChange.NULL_TO_READY and not self.made:
            self.make()
        return Gst.Bin.do_change_state(self, transition)

    def make(self):
        self.made = True
        size = "".join(f",{side}={value}" for side, value in (("width", self.width), ("height", self.height)) if value)
        inner = Gst.parse_bin_from_description(
            f"identity name=gate ! videoconvert ! videoscale "
            f"! video/x-raw{size} ! {ENCODERS[self.image_encoding]} ! appsink name=out sync=false async=false emit-signals=true",
            True,
        )
        self.add(inner)
        self.pad.set_target(inner.get_static_pad("sink"))
        self.next = 0
        gate = inner.get_by_name("gate").get_static_pad("src")
        gate.add_probe(Gst.PadProbeType.BUFFER, self.choose)
        inner.get_by_name("out").connect("new-sample", self.sample)

    def choose(self, pad, info):
        pts = info.get_buffer().pts
        if pts < self.next:
            return Gst.PadProbeReturn.DROP
        self.next = pts + self.frame_period * Gst.MSECOND
        return Gst.PadProbeReturn.OK

    def sample(self, exit):
        buffer = exit.emit("pull-sample").get_buffer()
        delivers = self.image_delivery_method == "DATA"
        if delivers:
            self.emit("send-data", GLib.Bytes.new(buffer.extract_dup(0, buffer.get_size())), True)
        self.emit("sample-image-delivered", delivers)
        return Gst.FlowReturn.OK


GObject.type_register(VideoSampler)
__gstelementfactory__ = ("videosampler", Gst.Rank.NONE, VideoSampler)
