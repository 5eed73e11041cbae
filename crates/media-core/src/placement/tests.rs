use super::*;
use salono_media_api::{MediaKind, RtpSpec, Token};

const BIG: PipelineKey = PipelineKey(1);
const SMALL: PipelineKey = PipelineKey(2);

fn placement(shards: usize) -> Placement {
    let mut placement = Placement::new(
        shards,
        Spreading {
            endpoints_per_part: 4,
        },
    );
    order(&mut placement, BIG, Op::CreatePipeline);
    placement
}

fn order(placement: &mut Placement, pipeline: PipelineKey, op: Op) -> Vec<(ShardId, Order)> {
    let command = Command { pipeline, op };
    let plan = placement.plan(&command);
    let orders = placement.carry_out(command, &plan);
    let mut told: Vec<_> = orders.iter().map(|(shard, _)| *shard).collect();
    let mut planned: Vec<_> = plan
        .shards()
        .flat_map(|(shard, count)| vec![shard; count])
        .collect();
    told.sort_unstable();
    planned.sort_unstable();
    assert_eq!(told, planned);
    orders
}

fn create(element: u64, spec: ElementSpec) -> Op {
    Op::Create {
        token: Token(element),
        element: ElementKey(element),
        spec,
    }
}

fn endpoint(element: u64) -> Op {
    create(element, ElementSpec::Rtp(RtpSpec::default()))
}

/// Creates an endpoint; returns the shard that carries that out.
fn place(placement: &mut Placement, pipeline: PipelineKey, element: u64) -> u16 {
    let orders = order(placement, pipeline, endpoint(element));
    let mut made = orders
        .iter()
        .filter(|(_, order)| matches!(order, Order::Command(_)));
    let (shard, _) = made.next().expect("one shard");
    assert!(made.next().is_none(), "and only one");
    shard.0
}

#[test]
fn a_small_pipeline_stays_on_one_shard_and_a_big_one_spreads_evenly() {
    let mut placement = placement(2);
    let placed: Vec<_> = (0..20)
        .map(|element| place(&mut placement, BIG, element))
        .collect();
    assert_eq!(placed[..8], [0, 0, 0, 0, 1, 1, 1, 1]);
    assert_eq!(placed.iter().filter(|shard| **shard == 0).count(), 10);
}

#[test]
fn a_pipeline_spreads_only_to_shards_that_have_clearly_less_to_do() {
    let mut placement = placement(2);
    order(&mut placement, SMALL, Op::CreatePipeline);
    for element in 0..4 {
        assert_eq!(place(&mut placement, SMALL, element), 1);
    }
    for element in 10..15 {
        assert_eq!(place(&mut placement, BIG, element), 0, "not much less");
    }
    assert_eq!(place(&mut placement, BIG, 15), 0);
    assert_eq!(place(&mut placement, BIG, 16), 1);
}

#[test]
fn parts_learn_what_was_before_and_what_comes() {
    let mut placement = placement(2);
    let (source, sink, kind) = (ElementKey(0), ElementKey(1), MediaKind::Video);
    for element in 0..4 {
        place(&mut placement, BIG, element);
    }
    order(
        &mut placement,
        BIG,
        Op::Connect {
            source: source.into(),
            sink: sink.into(),
            kind,
        },
    );
    let command = Command {
        pipeline: BIG,
        op: endpoint(4),
    };
    let plan = placement.plan(&command);
    let links: Vec<_> = plan.links().collect();
    assert_eq!(links, [(ShardId(1), ShardId(0))]);
    let orders = placement.carry_out(command, &plan);
    let [
        (ShardId(1), Order::Joined(joined)),
        (ShardId(0), Order::Elsewhere(elsewhere)),
        (ShardId(1), Order::Command(_)),
    ] = &orders[..]
    else {
        panic!("{orders:?}")
    };
    assert_eq!(joined.home, Some(ShardId(0)));
    assert_eq!(joined.elsewhere.len(), 4);
    assert_eq!(joined.graph.source_of(sink, kind), Some(source));
    assert_eq!(
        (elsewhere.element, elsewhere.shard),
        (ElementKey(4), ShardId(1))
    );
    // Elements without a peer live at home, what changes the graph goes to all.
    let orders = order(&mut placement, BIG, create(9, ElementSpec::PassThrough));
    let [
        (ShardId(1), Order::Elsewhere(_)),
        (ShardId(0), Order::Command(_)),
    ] = &orders[..]
    else {
        panic!("{orders:?}")
    };
    assert_eq!(
        order(
            &mut placement,
            BIG,
            Op::Disconnect {
                source: source.into(),
                sink: sink.into(),
                kind
            }
        )
        .len(),
        2
    );
    let element = ElementKey(4);
    let stats = Op::Stats {
        token: Token(1),
        element,
    };
    let orders = order(&mut placement, BIG, stats);
    assert!(matches!(&orders[..], [(ShardId(1), Order::Command(_))]));
    assert_eq!(order(&mut placement, BIG, Op::Release { element }).len(), 2);
    let recovered = placement.recover(ShardId(1));
    assert_eq!(recovered.len(), 1);
    assert_eq!(recovered[0].elsewhere.len(), 5);
    assert_eq!(order(&mut placement, BIG, Op::ReleasePipeline).len(), 2);
    assert!(placement.recover(ShardId(1)).is_empty());
    assert_eq!(placement.loads.of(0) + placement.loads.of(1), 0);
}

#[test]
fn commands_for_what_nobody_created_go_to_the_first_shard() {
    let placement = placement(3);
    let (token, element) = (Token(1), ElementKey(77));
    let stats = |pipeline| Command {
        pipeline,
        op: Op::Stats { token, element },
    };
    for pipeline in [BIG, PipelineKey(99)] {
        let plan = placement.plan(&stats(pipeline));
        assert_eq!(plan.shards().collect::<Vec<_>>(), [(ShardId(0), 1)]);
    }
}

#[test]
fn a_single_shard_keeps_no_record() {
    let mut placement = placement(1);
    for element in 0..20 {
        assert_eq!(place(&mut placement, BIG, element), 0);
    }
    assert!(placement.pipelines.is_empty());
}
