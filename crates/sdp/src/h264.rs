//! Format parameters of H.264 (RFC 6184 §8.1): profile, level and packetization mode.

use crate::codec::fmtp_value;

/// Profiles that `profile-level-id` can name (RFC 6184 table 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// What every browser can encode and decode.
    ConstrainedBaseline,
    /// Baseline
    Baseline,
    /// Main
    Main,
    /// Extended
    Extended,
    /// High without B frames and interlacing.
    ConstrainedHigh,
    /// High
    High,
}

/// The parameters that decide whether two sides understand each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Parameters {
    /// Profile.
    pub profile: Profile,
    /// Level times ten, 31 for level 3.1; level 1b is 9.
    pub level: u8,
    /// 0: single NAL units; 1: non-interleaved.
    pub packetization_mode: u8,
    /// `level-asymmetry-allowed=1`
    pub level_asymmetry: bool,
}

impl Parameters {
    /// Reads format parameters. Absent ones have the meaning that browsers give them: constrained
    /// baseline at level 3.1, packetization mode 0. `None` for an unknown profile, a malformed
    /// value or the interleaved mode, which no browser has.
    pub fn parse(fmtp: Option<&str>) -> Option<Self> {
        let fmtp = fmtp.unwrap_or_default();
        let (profile, level) = match fmtp_value(fmtp, "profile-level-id") {
            Some(id) => parse_profile_level_id(id)?,
            None => (Profile::ConstrainedBaseline, 31),
        };
        let packetization_mode = match fmtp_value(fmtp, "packetization-mode") {
            Some(mode) => mode.parse().ok().filter(|mode| *mode <= 1)?,
            None => 0,
        };
        Some(Self {
            profile,
            level,
            packetization_mode,
            level_asymmetry: fmtp_value(fmtp, "level-asymmetry-allowed") == Some("1"),
        })
    }

    /// Whether both are the same configuration apart from the level (RFC 6184 §8.2.2).
    pub fn compatible(&self, other: &Self) -> bool {
        self.profile == other.profile && self.packetization_mode == other.packetization_mode
    }
}

/// Splits `profile_idc`, `profile_iop` and `level_idc`, each two hexadecimal digits.
fn parse_profile_level_id(id: &str) -> Option<(Profile, u8)> {
    if id.len() != 6 || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let value = u32::from_str_radix(id, 16).ok()?;
    let [_, idc, iop, level] = value.to_be_bytes();
    let set = |bit: u8| iop & (0x80 >> bit) != 0;
    let reserved_clear = iop & 0x0f == 0;
    // RFC 6184 table 5; the digits left open there are `x`.
    let profile = match idc {
        0x42 if set(1) && reserved_clear => Profile::ConstrainedBaseline,
        0x42 if reserved_clear => Profile::Baseline,
        0x4d if set(0) && reserved_clear => Profile::ConstrainedBaseline,
        0x4d if !set(2) && reserved_clear => Profile::Main,
        0x58 if set(0) && set(1) && reserved_clear => Profile::ConstrainedBaseline,
        0x58 if set(0) && reserved_clear => Profile::Baseline,
        0x58 if !set(0) && !set(1) && reserved_clear => Profile::Extended,
        0x64 if iop == 0 => Profile::High,
        0x64 if iop == 0x0c => Profile::ConstrainedHigh,
        _ => return None,
    };
    let has_level_1b_flag = matches!(idc, 0x42 | 0x4d | 0x58);
    let level = if level == 11 && set(3) && has_level_1b_flag {
        9
    } else {
        level
    };
    Some((profile, level))
}
