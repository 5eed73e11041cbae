//! Peers on other shards than the processor: they receive what it lets out, it receives what they send.

use super::*;
use crate::support::cluster::Cluster;

fn produce(cluster: &mut Cluster, element: ElementKey) {
    for kind in [MediaKind::Audio, MediaKind::Video] {
        cluster.say(BridgeEvent::Produces {
            element,
            kind,
            native: None,
        });
    }
}

fn process(cluster: &mut Cluster, key: u64, spec: ProcessorSpec) -> ElementKey {
    let element = cluster.create(key, ElementSpec::Processor(Box::new(spec)));
    assert_eq!(cluster.homes[&element], 0);
    element
}

#[test]
fn viewers_on_every_shard_take_one_stream_of_a_player() {
    let mut cluster = Cluster::new(3, 461);
    let viewers = [0, 1, 2].map(|_| cluster.join(Wish::subscribe()));
    let shards = viewers.map(|viewer| cluster.shard_of(viewer));
    assert_ne!(shards, [0, 0, 0], "they are spread");
    let player = process(&mut cluster, PLAYER, player());
    for viewer in viewers {
        cluster.connect(player, cluster.element(viewer));
    }
    produce(&mut cluster, player);
    assert_eq!(cluster.processor.mind.outlets.len(), 2);
    let now = cluster.now;
    cluster.processor.play(7, now);
    cluster.run(secs(2));
    for viewer in viewers {
        let peer = &cluster.peers[viewer];
        assert_unbroken(&peer.video, true);
        assert!(peer.video.decoded().len() > 45);
        assert!(peer.audio.decoded().len() > 80);
        assert_eq!(peer.video.publishers(), [7]);
    }
    for viewer in viewers {
        cluster.release(cluster.element(viewer));
    }
    assert!(cluster.processor.mind.outlets.is_empty());
    cluster.release(player);
    assert_eq!(cluster.processor.detached, 1);
    assert_eq!(cluster.sum(|metrics| metrics.tracks), 0);
}

#[test]
fn what_peers_of_other_shards_send_is_recorded() {
    let mut cluster = Cluster::new(2, 462);
    let publishers = [0, 1].map(|_| cluster.join(Wish::publish()));
    let recorders = [0, 1].map(|at| process(&mut cluster, 100 + at, recorder()));
    for (publisher, recorder) in publishers.into_iter().zip(recorders) {
        cluster.connect(cluster.element(publisher), recorder);
        cluster.start(publisher);
    }
    cluster.run(secs(2));
    assert_eq!(cluster.processor.mind.inlets.len(), 4);
    assert_eq!(cluster.processor.mind.links.len(), 4);
    let entered = &cluster.processor.entered;
    assert_eq!(entered.len(), 4);
    assert!(entered.values().all(|packets| packets.len() > 80));
    for recorder in recorders {
        cluster.release(recorder);
    }
    assert_eq!(cluster.sum(|metrics| metrics.mirrors), 0);
    assert_eq!(cluster.processor.detached, 1);
}

#[test]
fn peers_without_a_common_codec_are_transcoded_between_wherever_they_are() {
    let mut cluster = Cluster::new(2, 463);
    let vp8 = Wish {
        configure: only_vp8,
        ..Wish::publish()
    };
    let h264 = Wish {
        configure: only_h264,
        ..Wish::subscribe()
    };
    let publishers = [0, 1].map(|_| cluster.join(vp8));
    let viewers = [0, 1].map(|_| cluster.join(h264));
    for publisher in publishers {
        cluster.start(publisher);
    }
    for (round, publisher) in publishers.into_iter().enumerate() {
        for viewer in viewers {
            cluster.connect(cluster.element(publisher), cluster.element(viewer));
        }
        cluster.run(millis(500));
        assert_eq!(cluster.processor.codecs(MediaKind::Video), ["H264"]);
        assert_eq!(cluster.processor.mind.inlets.len(), 1);
        let now = cluster.now;
        cluster.processor.play(20 + round as u8, now);
        cluster.run(secs(2));
    }
    for viewer in viewers {
        assert_eq!(cluster.peers[viewer].video.publishers(), [20, 21]);
    }
    for viewer in viewers {
        cluster.release(cluster.element(viewer));
    }
    assert_eq!(cluster.processor.detached, 1);
    assert_eq!(cluster.sum(|metrics| metrics.mirrors), 0);
}
