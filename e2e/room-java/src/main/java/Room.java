import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import com.google.gson.JsonObject;
import org.kurento.jsonrpc.JsonRpcErrorException;
import org.kurento.room.client.KurentoRoomClient;
import org.kurento.room.client.internal.IceCandidateInfo;
import org.kurento.room.client.internal.Notification;
import org.kurento.room.client.internal.ParticipantJoinedInfo;
import org.kurento.room.client.internal.ParticipantLeftInfo;
import org.kurento.room.client.internal.ParticipantPublishedInfo;
import org.kurento.room.client.internal.ParticipantUnpublishedInfo;
import org.kurento.room.client.internal.SendMessageInfo;

/**
 * What an application does with Kurento Room's own client for Java: everything that it offers. Every kept promise is a
 * line "ok". Arguments: the server's address, a browser's offer to send, a browser's offer to receive.
 */
public final class Room {
  private static final long PATIENCE_S = 20;

  private Room() {}

  public static void main(String[] args) {
    try {
      run(args[0], read(args[1]), read(args[2]));
      System.out.println("end");
      System.exit(0);
    } catch (Throwable failure) {
      failure.printStackTrace();
      System.exit(1);
    }
  }

  private static void run(String address, String sending, String receiving) throws Exception {
    Participant ann = new Participant(address);
    Map<String, List<String>> peers = ann.client.joinRoom("java", "ann", null);
    ok("the first in a room is alone", peers.isEmpty());

    Participant bob = new Participant(address);
    peers = bob.client.joinRoom("java", "bob", true);
    ok("the second sees the first", peers.keySet().equals(java.util.Set.of("ann")));
    ok("who publishes nothing has no streams", peers.get("ann").isEmpty());
    ok("the first hears of the second", ann.hear(ParticipantJoinedInfo.class, joined -> joined.getId().equals("bob")));

    ok("a taken name is refused with its code", refused(104, () -> new Participant(address).client.joinRoom("java", "ann", null)));
    ok("who does not publish cannot be seen", refused(105, () -> bob.client.receiveVideoFrom("ann_webcam", receiving)));
    ok("who does not publish cannot stop", refused(105, () -> bob.client.unpublishVideo()));

    String answer = ann.client.publishVideo(sending, false);
    ok("what is published is answered", isAnswer(answer));
    ok("with ways to send it", ann.hear(IceCandidateInfo.class, info -> isOf("ann", info)));
    ok("others hear of it", bob.hear(ParticipantPublishedInfo.class,
        published -> published.getId().equals("ann") && published.getStreams().equals(List.of("webcam"))));
    ann.client.onIceCandidate("ann", "candidate:1 1 udp 2130706431 127.0.0.1 9 typ host", "0", 0);
    ok("candidates are taken", true);

    answer = bob.client.receiveVideoFrom("ann_webcam", receiving);
    ok("what is received is answered", isAnswer(answer) && answer.contains("a=sendonly"));
    ok("with ways to receive it", bob.hear(IceCandidateInfo.class, info -> isOf("ann", info)));
    bob.client.onIceCandidate("ann", "candidate:1 1 udp 2130706431 127.0.0.1 9 typ host", "0", 0);
    ok("nobody is received twice", refused(302, () -> bob.client.receiveVideoFrom("ann_webcam", receiving)));
    bob.client.unsubscribeFromVideo("ann_webcam");
    bob.client.unsubscribeFromVideo("ann_webcam");
    ok("receiving ends, and may be ended twice", true);
    answer = bob.client.receiveVideoFrom("ann_webcam", receiving);
    ok("and begins again", isAnswer(answer));

    bob.client.sendMessage("bob", "java", "<b>hello</b> & good day");
    for (Participant participant : List.of(ann, bob)) {
      ok("chat reaches everybody as it was written", participant.hear(SendMessageInfo.class, info ->
          info.getUser().equals("bob") && info.getRoom().equals("java")
          && info.getMessage().equals("<b>hello</b> & good day")));
    }
    ok("nobody speaks for others", refused(102, () -> bob.client.sendMessage("ann", "java", "forged")));
    ok("nor in other rooms", refused(202, () -> bob.client.sendMessage("bob", "other", "lost")));

    JsonObject custom = new JsonObject();
    custom.addProperty("unheard", "of");
    ok("what no application knows is refused", refused(-1, () -> ann.client.customRequest(custom)));

    Participant carl = new Participant(address);
    peers = carl.client.joinRoom("java", "carl", false);
    ok("who comes later sees who publishes", peers.get("ann").equals(List.of("webcam")) && peers.get("bob").isEmpty());

    ann.client.unpublishVideo();
    ok("others hear that it has ended",
        bob.hear(ParticipantUnpublishedInfo.class, info -> info.getName().equals("ann")));
    ok("publishing begins again", isAnswer(ann.client.publishVideo(sending, true)));
    ok("and others hear of it again", bob.hear(ParticipantPublishedInfo.class, info -> info.getId().equals("ann")));

    ann.client.leaveRoom();
    ok("others hear who leaves", bob.hear(ParticipantLeftInfo.class, info -> info.getName().equals("ann")));
    // The server ends the connection of whoever leaves; the library opens another one by itself.
    ok("who has left comes back with the same object", joins(ann, "java", "ann"));
    ok("and is seen", bob.hear(ParticipantJoinedInfo.class, info -> info.getId().equals("ann")));
    ann.client.close();
    bob.client.leaveRoom();
    carl.client.leaveRoom();
    ok("everybody leaves", true);
  }

  /** The library reconnects in the background after it has left: until then its requests fail. */
  private static boolean joins(Participant who, String room, String user) throws Exception {
    for (int attempt = 0; attempt < PATIENCE_S * 10; attempt++) {
      try {
        return who.client.joinRoom(room, user, null).containsKey("bob");
      } catch (Exception failure) {
        Thread.sleep(100);
      }
    }
    return false;
  }

  private static boolean isAnswer(String description) {
    return description.startsWith("v=0\r\n") && description.contains("m=video") && description.contains("a=fingerprint:");
  }

  private static boolean isOf(String endpoint, IceCandidateInfo info) {
    return info.getEndpointName().equals(endpoint) && info.getIceCandidate().getCandidate().contains(" typ ")
        && info.getIceCandidate().getSdpMid() != null;
  }

  private interface Attempt {
    void run() throws Exception;
  }

  private static boolean refused(int code, Attempt attempt) throws Exception {
    try {
      attempt.run();
      return false;
    } catch (JsonRpcErrorException refusal) {
      return refusal.getCode() == code;
    }
  }

  private static void ok(String promise, boolean kept) {
    if (!kept) {
      throw new AssertionError(promise);
    }
    System.out.println("ok " + promise);
  }

  private static String read(String path) throws Exception {
    return Files.readString(Path.of(path)).replaceAll("\r?\n", "\r\n");
  }

  /** A client, and what it is told: the library hands notifications out in no certain order. */
  private static final class Participant {
    final KurentoRoomClient client;
    private final BlockingQueue<Notification> heard = new LinkedBlockingQueue<>();
    private final List<Notification> passedOver = new ArrayList<>();

    Participant(String address) {
      client = new KurentoRoomClient(address);
      Thread listener = new Thread(() -> {
        Notification next;
        while ((next = client.getServerNotification()) != null) {
          heard.add(next);
        }
      });
      listener.setDaemon(true);
      listener.start();
    }

    <T extends Notification> boolean hear(Class<T> type, Predicate<T> passes) throws InterruptedException {
      for (Iterator<Notification> it = passedOver.iterator(); it.hasNext();) {
        Notification next = it.next();
        if (type.isInstance(next) && passes.test(type.cast(next))) {
          it.remove();
          return true;
        }
      }
      long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_S);
      while (true) {
        Notification next = heard.poll(deadline - System.nanoTime(), TimeUnit.NANOSECONDS);
        if (next == null) {
          return false;
        }
        if (type.isInstance(next) && passes.test(type.cast(next))) {
          return true;
        }
        passedOver.add(next);
      }
    }
  }
}
