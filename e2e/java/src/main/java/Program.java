import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.IOException;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.kurento.client.*;
import org.kurento.client.internal.server.KurentoServerException;

/**
 * What a program of somebody who runs Kurento does, with Kurento's own client for Java. Every kept promise is a line
 * "ok"; "cut" and "restart" ask whoever runs it to do that to the server, and to say when done.
 */
public final class Program {
  private static final long PATIENCE_S = 20;
  private static final BufferedReader REPLIES = new BufferedReader(new InputStreamReader(System.in));

  /** Names that the client of version 6 had besides, or instead. */
  private static final boolean FORMER = has(MediaObject.class, "getChilds");

  private Program() {}

  public static void main(String[] args) throws Exception {
    try {
      run(args[0]);
      System.out.println("end");
      System.exit(0);
    } catch (Throwable failure) {
      failure.printStackTrace();
      System.exit(1);
    }
  }

  private static void run(String address) throws Exception {
    BlockingQueue<Object> reconnections = new LinkedBlockingQueue<>();
    BlockingQueue<Object> disconnections = new LinkedBlockingQueue<>();
    KurentoClient client = KurentoClient.create(address, new KurentoConnectionListener() {
      @Override public void connected() {}
      @Override public void connectionFailed() {}
      @Override public void disconnected() {
        disconnections.add(true);
      }
      @Override public void reconnected(boolean same) {
        reconnections.add(same);
      }
    });

    ServerManager manager = client.getServerManager();
    describeServer(client, manager);

    BlockingQueue<ObjectCreatedEvent> created = new LinkedBlockingQueue<>();
    manager.addObjectCreatedListener(created::add);
    MediaPipeline pipeline = client.createMediaPipeline();
    equal("a new object is announced", next(created, any -> true).getObject().getId(), pipeline.getId());
    name(pipeline);

    WebRtcEndpoint one = new WebRtcEndpoint.Builder(pipeline).useDataChannels().build();
    WebRtcEndpoint other = new WebRtcEndpoint.Builder(pipeline).useDataChannels().build();
    PassThrough through = new PassThrough.Builder(pipeline).build();
    equal("it lists its children", ids(children(pipeline)), ids(List.of(one, other, through)));
    equal("they know their parent", one.getParent().getId(), pipeline.getId());
    equal("and their pipeline", through.getMediaPipeline().getId(), pipeline.getId());

    BlockingQueue<ElementConnectedEvent> connections = connect(one, through, other);
    settings(one, through);
    refuse(one, other);

    MediaPipeline elsewhere = client.createMediaPipeline();
    PassThrough stranger = new PassThrough.Builder(elsewhere).build();
    refused("pipelines do not mix", 40004, "CONNECT_ERROR", () -> one.connect(stranger));

    negotiate(one, other);
    equal("states can be read", one.getConnectionState(), ConnectionState.CONNECTED);
    equal("so can the pair of candidates", one.getICECandidatePairs().get(0).getComponentId(), 1);
    ok("what was agreed on too", one.getRemoteSessionDescriptor().startsWith("v=0"));
    List<StatsType> kinds = one.getStats().values().stream().map(Stats::getType).collect(Collectors.toList());
    ok("it has statistics", kinds.contains(StatsType.outboundrtp) && kinds.contains(StatsType.endpoint));

    RtpEndpoint rtp = new RtpEndpoint.Builder(pipeline).build();
    ok("plain RTP is offered", rtp.generateOffer().matches("(?s).*m=audio [1-9]\\d* RTP/AVPF? .*"));
    SDES keys = new SDES();
    keys.setKey("a".repeat(30));
    keys.setCrypto(CryptoSuite.AES_128_CM_HMAC_SHA1_80);
    RtpEndpoint srtp = new RtpEndpoint.Builder(pipeline).withCrypto(keys).build();
    ok("and SRTP", srtp.generateOffer().contains(" AES_CM_128_HMAC_SHA1_80 "));

    hub(pipeline, one, through);
    transactions(client, elsewhere, stranger);

    System.out.println("cut");
    REPLIES.readLine();
    equal("a cut connection is made again with its session", next(reconnections, any -> true), true);
    equal("its objects are there", pipeline.getName(), "stage ✓");
    through.connect(other, MediaType.AUDIO);
    equal("subscriptions too", next(connections, any -> true).getMediaType(), MediaType.AUDIO);

    BlockingQueue<ObjectDestroyedEvent> destroyed = new LinkedBlockingQueue<>();
    manager.addObjectDestroyedListener(destroyed::add);
    String gone = through.getId();
    pipeline.release();
    ok("what is released is announced", next(destroyed, event -> event.getObjectId().equals(gone)) != null);
    refused("and takes its children along", 40101, "MEDIA_OBJECT_NOT_FOUND", one::getName);
    equal("only the rest is left", ids(manager.getPipelines()), ids(List.of(elsewhere)));

    System.out.println("restart");
    REPLIES.readLine();
    equal("a server that was restarted has no such session", next(reconnections, any -> true), false);
    MediaPipeline fresh = client.createMediaPipeline();
    equal("programs begin anew with it", fresh.getName(), fresh.getId());
    fresh.release();
    client.destroy();
    ok("a client closes", client.isClosed());
  }

  private static void describeServer(KurentoClient client, ServerManager manager) throws Exception {
    ServerInfo info = manager.getInfo();
    equal("the server is a KMS", info.getType(), ServerType.KMS);
    List<String> modules = info.getModules().stream().map(ModuleInfo::getName).sorted().collect(Collectors.toList());
    ok("with the usual modules", modules.containsAll(List.of("core", "elements", "filters")));
    ok("it counts its processors", manager.getCpuCount() > 0);
    ok("its memory", manager.getUsedMemory() > 0);
    ok("its load", manager.getUsedCpu(100) >= 0);
    ok("its sessions", manager.getSessions().contains(client.getSessionId()));
    ok("it describes modules", manager.getKmd("core").contains("\"MediaPipeline\""));
    refused("but none that it has not", 40500, "UNDEFINED", () -> manager.getKmd("nothing"));
  }

  private static void name(MediaPipeline pipeline) throws Exception {
    equal("it is called by its id", pipeline.getName(), pipeline.getId());
    pipeline.setName("stage ✓");
    equal("until it is named", pipeline.getName(), "stage ✓");
    pipeline.addTag("room", "17");
    pipeline.addTag("floor", "2");
    equal("tags are kept", pipeline.getTag("room"), "17");
    equal("listed", texts(pipeline.getTags(), Program::text), List.of("floor=2", "room=17"));
    pipeline.removeTag("floor");
    refused("and removed", 40110, "MEDIA_OBJECT_TAG_KEY_NOT_FOUND", () -> pipeline.getTag("floor"));
    ok("it knows when it was made", Math.abs(pipeline.getCreationTime() - System.currentTimeMillis() / 1000) < 60);
    pipeline.setLatencyStats(true);
    equal("properties are set", pipeline.getLatencyStats(), true);
    ok("it draws itself", pipeline.getGstreamerDot().contains("digraph"));
  }

  private static BlockingQueue<ElementConnectedEvent> connect(
      WebRtcEndpoint one, PassThrough through, WebRtcEndpoint other) throws Exception {
    BlockingQueue<ElementConnectedEvent> connected = new LinkedBlockingQueue<>();
    one.setSendTagsInEvents(true);
    one.addTag("who", "one");
    one.addElementConnectedListener(connected::add);
    one.connect(through, MediaType.VIDEO);
    ElementConnectedEvent event = next(connected, any -> true);
    equal("a connection is announced", event.getMediaType(), MediaType.VIDEO);
    equal("by its source", event.getSource().getId(), one.getId());
    equal("with its sink", event.getSink().getId(), through.getId());
    equal("with the tags of its source", texts(event.getTags(), Program::text), List.of("who=one"));
    ok("and its time", Long.parseLong(event.getTimestampMillis()) > 0);
    ok("in seconds, too, where the library knows them", seconds(event) == Long.parseLong(event.getTimestampMillis()) / 1000);
    equal("it is listed at its source", one.getSinkConnections().get(0).getSink().getId(), through.getId());
    equal("and at its sink", through.getSourceConnections().size(), 1);
    BlockingQueue<ElementConnectedEvent> later = new LinkedBlockingQueue<>();
    through.connect(other);
    equal("elements connect in every kind", texts(through.getSinkConnections(), data -> data.getType().name()),
        List.of("AUDIO", "DATA", "VIDEO"));
    BlockingQueue<ElementDisconnectedEvent> disconnected = new LinkedBlockingQueue<>();
    through.addElementDisconnectedListener(disconnected::add);
    through.disconnect(other);
    equal("and disconnect", next(disconnected, any -> true).getSink().getId(), other.getId());
    equal("wholly", through.getSinkConnections().size(), 0);
    equal("nothing flows yet", through.isMediaFlowingIn(MediaType.VIDEO), false);
    through.addElementConnectedListener(later::add);
    return later;
  }

  private static void settings(WebRtcEndpoint one, PassThrough through) {
    one.setStunServerAddress("192.0.2.1");
    equal("endpoints keep their settings", one.getStunServerAddress(), "192.0.2.1");
    one.setStunServerAddress("");
    one.setMaxVideoSendBandwidth(900);
    equal("and limits", one.getMaxVideoSendBandwidth(), 900);
    through.setVideoFormat(new VideoCaps(VideoCodec.VP8, new Fraction(30, 1)));
    ok("structures in structures are taken", true);
  }

  private static void refuse(WebRtcEndpoint one, WebRtcEndpoint other) {
    refused("nonsense is no offer", 40201, "SDP_PARSE_ERROR", () -> one.processOffer("nonsense"));
    refused("no answer without an offer", 40209, "SDP_END_POINT_NOT_OFFER_GENERATED",
        () -> one.processAnswer("v=0\r\n"));
    refused("nothing to look at yet", 40202, "SDP_END_POINT_NO_LOCAL_SDP_ERROR", other::getLocalSessionDescriptor);
  }

  private static void negotiate(WebRtcEndpoint one, WebRtcEndpoint other) throws Exception {
    List<BlockingQueue<ConnectionStateChangedEvent>> states =
        List.of(new LinkedBlockingQueue<>(), new LinkedBlockingQueue<>());
    one.addConnectionStateChangedListener(states.get(0)::add);
    other.addConnectionStateChangedListener(states.get(1)::add);
    BlockingQueue<MediaEvent> gathered = new LinkedBlockingQueue<>();
    BlockingQueue<MediaEvent> opened = new LinkedBlockingQueue<>();
    for (WebRtcEndpoint each : List.of(one, other)) {
      WebRtcEndpoint peer = each == one ? other : one;
      listen(each, FORMER ? "OnIceGatheringDone" : "IceGatheringDone", gathered::add);
      listen(each, FORMER ? "OnDataChannelOpened" : "DataChannelOpened", opened::add);
      // Not in the thread of the events, which has to take the answer.
      listen(each, FORMER ? "OnIceCandidate" : "IceCandidateFound",
          event -> CompletableFuture.runAsync(() -> peer.addIceCandidate(candidate(event))));
    }
    String offer = one.generateOffer();
    ok("an endpoint offers", offer.startsWith("v=0\r\n"));
    String answer = other.processOffer(offer);
    ok("another answers", answer.contains("a=fingerprint:"));
    one.processAnswer(answer);
    one.gatherCandidates();
    other.gatherCandidates();
    for (BlockingQueue<ConnectionStateChangedEvent> each : states) {
      next(each, event -> event.getNewState() == ConnectionState.CONNECTED);
    }
    ok("both are connected", true);
    ok("gathering ends", next(gathered, any -> true) != null);
    one.createDataChannel("talk");
    ok("data channels open", next(opened, any -> true) != null);
  }

  private static void hub(MediaPipeline pipeline, WebRtcEndpoint one, PassThrough through) {
    Dispatcher hub = new Dispatcher.Builder(pipeline).build();
    HubPort left = new HubPort.Builder(hub).build();
    HubPort right = new HubPort.Builder(hub).build();
    equal("hubs list their ports", ids(hub.getChildren()), ids(List.of(left, right)));
    one.connect(left);
    hub.connect(left, right);
    right.connect(through);
    equal("ports are elements", left.getSourceConnections().size(), 3);
    hub.release();
    refused("and go with their hub", 40101, "MEDIA_OBJECT_NOT_FOUND", left::getSourceConnections);
  }

  private static void transactions(KurentoClient client, MediaPipeline pipeline, PassThrough stranger) {
    Transaction made = client.beginTransaction();
    PassThrough promised = new PassThrough.Builder(pipeline).build(made);
    promised.addTag(made, "made", "at once");
    TFuture<String> tag = promised.getTag(made, "made");
    made.commit();
    equal("a transaction makes and uses an object", tag.get(), "at once");
    equal("which stays", promised.getTag("made"), "at once");

    Transaction failing = client.beginTransaction();
    TFuture<String> missing = stranger.getTag(failing, "none");
    stranger.addTag(failing, "unreached", "yes");
    refused("a transaction stops at its first failure", 40110, "MEDIA_OBJECT_TAG_KEY_NOT_FOUND", () -> {
      failing.commit();
      missing.get();
    });
    equal("what is behind it is not done", stranger.getTags().size(), 0);

    Transaction dropped = client.beginTransaction();
    new PassThrough.Builder(pipeline).build(dropped);
    TFuture<String> unheard = stranger.getName(dropped);
    dropped.rollback();
    ok("a rollback is known", unheard.isRollback());
    equal("and does nothing", ids(pipeline.getChildren()), ids(List.of(stranger, promised)));
  }

  private static void ok(String promise, boolean kept) {
    if (!kept) {
      throw new AssertionError(promise);
    }
    System.out.println("ok " + promise);
  }

  private static void equal(String promise, Object is, Object wanted) {
    ok(Objects.equals(is, wanted) ? promise : promise + ": " + is + " instead of " + wanted, Objects.equals(is, wanted));
  }

  /** The call fails with this code and name of a Kurento error. */
  private static void refused(String promise, int code, String type, Runnable call) {
    try {
      call.run();
    } catch (KurentoServerException error) {
      // Its getErrorType() is null whatever the server sends.
      Matcher data = Pattern.compile("\"type\":\"(\\w+)\"").matcher(error.getData());
      ok("the error says its type", data.find());
      equal(promise, error.getCode() + " " + data.group(1), code + " " + type);
      return;
    }
    throw new AssertionError(promise + ": it worked");
  }

  /** The next event that passes. */
  private static <T> T next(BlockingQueue<T> events, Predicate<T> passes) throws InterruptedException {
    for (;;) {
      T event = events.poll(PATIENCE_S, TimeUnit.SECONDS);
      if (event == null) {
        throw new AssertionError("an event is missing");
      }
      if (passes.test(event)) {
        return event;
      }
    }
  }

  private static List<String> ids(Collection<? extends MediaObject> objects) {
    return texts(objects, MediaObject::getId);
  }

  private static <T> List<String> texts(Collection<? extends T> things, Function<T, String> text) {
    return things.stream().map(text).sorted().collect(Collectors.toList());
  }

  private static String text(Tag tag) {
    return tag.getKey() + "=" + tag.getValue();
  }

  private static boolean has(Class<?> type, String method) {
    return Arrays.stream(type.getMethods()).anyMatch(each -> each.getName().equals(method));
  }

  /** Children, by the name of the operation that only version 6 has. */
  @SuppressWarnings("unchecked")
  private static List<MediaObject> children(MediaObject object) throws ReflectiveOperationException {
    return FORMER ? (List<MediaObject>) MediaObject.class.getMethod("getChilds").invoke(object) : object.getChildren();
  }

  /** Subscribes to an event that only one of the versions has. */
  private static void listen(WebRtcEndpoint endpoint, String event, EventListener<MediaEvent> listener)
      throws ReflectiveOperationException {
    WebRtcEndpoint.class.getMethod("add" + event + "Listener", EventListener.class).invoke(endpoint, listener);
  }

  /** Version 6 has the seconds of events besides; version 7 has milliseconds alone. */
  private static long seconds(RaiseBaseEvent event) throws Exception {
    for (var method : RaiseBaseEvent.class.getMethods()) {
      if (method.getName().equals("getTimestamp")) {
        return Long.parseLong((String) method.invoke(event));
      }
    }
    return Long.parseLong(event.getTimestampMillis()) / 1000;
  }

  private static IceCandidate candidate(MediaEvent event) {
    try {
      return (IceCandidate) event.getClass().getMethod("getCandidate").invoke(event);
    } catch (ReflectiveOperationException error) {
      throw new IllegalStateException(error);
    }
  }
}
