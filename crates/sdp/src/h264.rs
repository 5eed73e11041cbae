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

    /// Whether packets sent under these parameters are understood by a receiver with `other`.
    ///
    /// Constrained baseline is a subset of every other profile but extended. Baseline counts as
    /// constrained: no WebRTC encoder uses the tools that make the difference, and browsers name
    /// one where they mean the other. Single NAL unit mode is a subset of the non-interleaved
    /// mode.
    pub fn understood_by(&self, other: &Self) -> bool {
        let profile = match self.profile {
            Profile::ConstrainedBaseline | Profile::Baseline => other.profile != Profile::Extended,
            Profile::Main => matches!(other.profile, Profile::Main | Profile::High),
            Profile::ConstrainedHigh => {
                matches!(other.profile, Profile::ConstrainedHigh | Profile::High)
            }
            Profile::Extended | Profile::High => self.profile == other.profile,
        };
        profile && self.packetization_mode <= other.packetization_mode
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(fmtp: &str) -> Option<(Profile, u8, u8)> {
        Parameters::parse(Some(fmtp)).map(|p| (p.profile, p.level, p.packetization_mode))
    }

    #[test]
    fn profile_level_ids_are_told_apart() {
        let cases = [
            ("42e01f", Profile::ConstrainedBaseline, 31),
            ("42E01F", Profile::ConstrainedBaseline, 31),
            ("42c00b", Profile::ConstrainedBaseline, 11),
            ("42f00b", Profile::ConstrainedBaseline, 9),
            ("4d801f", Profile::ConstrainedBaseline, 31),
            ("58c01f", Profile::ConstrainedBaseline, 31),
            ("42001f", Profile::Baseline, 31),
            ("58801f", Profile::Baseline, 31),
            ("4d001f", Profile::Main, 31),
            ("58001f", Profile::Extended, 31),
            ("640c1f", Profile::ConstrainedHigh, 31),
            ("640034", Profile::High, 52),
        ];
        for (id, profile, level) in cases {
            let fmtp = format!("profile-level-id={id};packetization-mode=1");
            assert_eq!(parse(&fmtp), Some((profile, level, 1)), "{id}");
        }
    }

    #[test]
    fn unknown_parameters_are_refused_and_absent_ones_have_defaults() {
        for fmtp in [
            "profile-level-id=42e01",
            "profile-level-id=+2e01f",
            "profile-level-id=f4001f",
            "profile-level-id=42e11f",
            "packetization-mode=2",
            "packetization-mode=x",
        ] {
            assert_eq!(parse(fmtp), None, "{fmtp}");
        }
        let default = Parameters::parse(None).unwrap();
        assert_eq!(default.profile, Profile::ConstrainedBaseline);
        assert_eq!((default.level, default.packetization_mode), (31, 0));
        assert!(!default.level_asymmetry);
    }

    #[test]
    fn packets_go_to_receivers_that_understand_them() {
        let fmtp = |(id, mode): (&str, u8)| {
            let text = format!("profile-level-id={id};packetization-mode={mode}");
            Parameters::parse(Some(&text)).unwrap()
        };
        let cases = [
            (("42e01f", 1), ("42e034", 1), true),
            (("42e01f", 0), ("42e01f", 1), true),
            (("42e01f", 1), ("42e01f", 0), false),
            (("42001f", 1), ("42e01f", 1), true),
            (("42e01f", 1), ("640c1f", 1), true),
            (("640c1f", 1), ("64001f", 1), true),
            (("64001f", 1), ("640c1f", 1), false),
            (("4d001f", 1), ("42e01f", 1), false),
            (("42e01f", 1), ("58001f", 1), false),
        ];
        for (from, to, understood) in cases {
            assert_eq!(
                fmtp(from).understood_by(&fmtp(to)),
                understood,
                "{from:?} {to:?}"
            );
        }
    }
}
