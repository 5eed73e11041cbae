//! Which few of many voices are forwarded.

use super::voice::Voice;
use super::{Member, MemberSlot};
use slotmap::SlotMap;
use std::time::{Duration, Instant};

/// So long somebody is still forwarded who is no longer among the loudest.
pub(crate) const HANG_OVER: Duration = Duration::from_millis(500);
/// Decibels by which somebody must be louder to take another's place.
const MARGIN_DB: i32 = 5;

/// Whether a voice is among the loudest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Admission {
    #[default]
    Out,
    In,
    /// It was, and is forwarded until then.
    Leaving(Instant),
}

/// The loudest.
#[derive(Debug, Default)]
pub(crate) struct Loudest {
    /// How many there may be; 0 is everybody.
    limit: usize,
    admitted: Vec<MemberSlot>,
}

impl Loudest {
    /// Forwards so many from now on; 0 is everybody.
    pub(crate) fn set_limit(
        &mut self,
        limit: usize,
        members: &mut SlotMap<MemberSlot, Member>,
        now: Instant,
    ) {
        self.limit = limit;
        while self.admitted.len() > limit {
            self.displace_quietest(members, now);
        }
    }

    /// Whether a member's packets are forwarded now; it may have become one of the loudest.
    pub(crate) fn admits(
        &mut self,
        slot: MemberSlot,
        members: &mut SlotMap<MemberSlot, Member>,
        now: Instant,
    ) -> bool {
        let Some(member) = members.get(slot) else {
            return true;
        };
        // Who tells no level cannot be compared.
        if self.limit == 0 || !member.voice.is_known() || member.admission == Admission::In {
            return true;
        }
        if self.has_room_for(&member.voice, members, now) {
            while self.admitted.len() >= self.limit {
                self.displace_quietest(members, now);
            }
            self.admitted.push(slot);
            if let Some(member) = members.get_mut(slot) {
                member.admission = Admission::In;
            }
            return true;
        }
        let Some(member) = members.get_mut(slot) else {
            return true;
        };
        match member.admission {
            Admission::In => true,
            Admission::Leaving(until) if now < until => true,
            Admission::Leaving(_) | Admission::Out => {
                member.admission = Admission::Out;
                false
            }
        }
    }

    /// Lets a member that was forwarded for another reason go on for a while.
    pub(crate) fn let_go(member: &mut Member, now: Instant) {
        if member.admission == Admission::Out {
            member.admission = Admission::Leaving(now + HANG_OVER);
        }
    }

    /// Forgets a member that ends.
    pub(crate) fn forget(&mut self, slot: MemberSlot) {
        self.admitted.retain(|admitted| *admitted != slot);
    }

    fn has_room_for(
        &self,
        voice: &Voice,
        members: &SlotMap<MemberSlot, Member>,
        now: Instant,
    ) -> bool {
        if self.admitted.len() < self.limit {
            return true;
        }
        let loudness = voice.loudness(now);
        self.quietest(members, now)
            .is_some_and(|(_, quietest)| loudness > quietest + MARGIN_DB)
    }

    /// Position and loudness of the quietest of the loudest.
    fn quietest(
        &self,
        members: &SlotMap<MemberSlot, Member>,
        now: Instant,
    ) -> Option<(usize, i32)> {
        let loudness = |slot: &MemberSlot| {
            members
                .get(*slot)
                .map_or(0, |member| member.voice.loudness(now))
        };
        self.admitted
            .iter()
            .map(loudness)
            .enumerate()
            .min_by_key(|(_, loudness)| *loudness)
    }

    fn displace_quietest(&mut self, members: &mut SlotMap<MemberSlot, Member>, now: Instant) {
        let Some((at, _)) = self.quietest(members, now) else {
            return;
        };
        let slot = self.admitted.swap_remove(at);
        if let Some(member) = members.get_mut(slot) {
            member.admission = Admission::Leaving(now + HANG_OVER);
        }
    }
}
