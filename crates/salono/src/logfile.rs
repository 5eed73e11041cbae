//! Log files of a folder, as Kurento Media Server writes them: a new one when the last is full and at
//! midnight (UTC), and not more of them than was asked for.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds of a day.
const DAY: u64 = 86_400;

/// How much is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes of one file.
    pub(crate) bytes: u64,
    /// Files that are kept.
    pub(crate) files: u64,
}

/// Writes to the newest log file of a folder.
#[derive(Debug)]
pub(crate) struct LogFiles {
    folder: PathBuf,
    limits: Limits,
    file: File,
    /// Bytes of the newest file.
    written: u64,
    /// Number of the newest file of this process.
    number: u32,
    /// Day on which it began, since 1970.
    day: u64,
    clock: fn() -> u64,
}

impl LogFiles {
    /// Begins a file in a folder, which is made if need be.
    pub(crate) fn open(folder: &Path, limits: Limits) -> io::Result<Self> {
        Self::with_clock(folder, limits, seconds_since_1970)
    }

    fn with_clock(folder: &Path, limits: Limits, clock: fn() -> u64) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let now = clock();
        let files = Self {
            folder: folder.to_owned(),
            limits,
            file: begin(folder, 0, now)?,
            written: 0,
            number: 0,
            day: now / DAY,
            clock,
        };
        files.collect();
        Ok(files)
    }

    /// Removes the oldest files beyond what was asked for. Those that cannot be removed stay.
    fn collect(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return;
        };
        let mut found: Vec<(String, u64)> = entries
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let name = entry.file_name().into_string().ok()?;
                is_ours(&name).then_some((name, entry.metadata().ok()?.len()))
            })
            .collect();
        // The newest first: a name begins with the time.
        found.sort_by(|a, b| b.cmp(a));
        let most = self.limits.bytes.saturating_mul(self.limits.files);
        let mut total = 0_u64;
        for (index, (name, bytes)) in (0_u64..).zip(&found) {
            total = total.saturating_add(*bytes);
            if index > 0 && (index >= self.limits.files || total > most) {
                let _ = fs::remove_file(self.folder.join(name));
            }
        }
    }
}

impl Write for LogFiles {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let now = (self.clock)();
        let full = self.written > 0 && self.written + line.len() as u64 > self.limits.bytes;
        if full || now / DAY != self.day {
            self.number = self.number.wrapping_add(1);
            self.day = now / DAY;
            self.written = 0;
            self.file = begin(&self.folder, self.number, now)?;
            self.collect();
        }
        self.file.write_all(line)?;
        self.written += line.len() as u64;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn begin(folder: &Path, number: u32, now: u64) -> io::Result<File> {
    let (year, month, day) = date(now / DAY);
    let (hour, minute, second) = (now % DAY / 3_600, now % 3_600 / 60, now % 60);
    let pid = std::process::id();
    let name = format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}{minute:02}{second:02}.{number:05}.pid{pid}.log"
    );
    let path = folder.join(name);
    OpenOptions::new().create(true).append(true).open(path)
}

/// `2025-12-31T235959.00000.pid1.log`.
fn is_ours(name: &str) -> bool {
    let parts: Vec<&str> = name.split('.').collect();
    matches!(
        parts.as_slice(),
        [time, number, pid, "log"] if time.len() == 17 && number.len() == 5 && pid.starts_with("pid")
    )
}

fn seconds_since_1970() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Year, month and day of a day since 1970 in the Gregorian calendar. Counted in eras of 400 years
/// that begin on the first of March, so that the leap day is the last of its year.
fn date(days: u64) -> (u64, u64, u64) {
    const ERA: u64 = 146_097;
    let days = days + 719_468;
    let (era, day) = (days / ERA, days % ERA);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// A folder that goes away.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("salono-log-{name}-{}", std::process::id());
            Self(std::env::temp_dir().join(name))
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).unwrap();
            let mut names: Vec<String> = entries
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn days_are_dates() {
        for (days, expected) in [
            (0, (1970, 1, 1)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (20_453, (2025, 12, 31)),
            (47_541, (2100, 3, 1)),
        ] {
            assert_eq!(date(days), expected, "{days}");
        }
    }

    #[test]
    fn a_full_file_is_followed_by_another_and_the_oldest_goes() {
        let folder = Folder::new("full");
        let limits = Limits {
            bytes: 10,
            files: 3,
        };
        let mut files = LogFiles::with_clock(&folder.0, limits, || 1_767_225_599).unwrap();
        fs::write(folder.0.join("errors.log"), "of somebody else").unwrap();
        for line in [
            "12345\n",
            "123\n",
            "12345\n",
            "a line that is longer...\n",
            "1\n",
            "2\n",
        ] {
            files.write_all(line.as_bytes()).unwrap();
        }
        let pid = std::process::id();
        let name = |number: u32| format!("2025-12-31T235959.{number:05}.pid{pid}.log");
        // The long line alone is as much as all three may hold, almost.
        assert_eq!(folder.names(), [name(2), name(3), "errors.log".to_owned()]);
        let last = fs::read_to_string(folder.0.join(name(3))).unwrap();
        assert_eq!(last, "1\n2\n");
    }

    #[test]
    fn a_day_has_its_own_file() {
        static NOW: AtomicU64 = AtomicU64::new(2 * DAY - 1);
        let folder = Folder::new("day");
        let limits = Limits {
            bytes: 1_000,
            files: 3,
        };
        let clock = || NOW.load(Ordering::Relaxed);
        let mut files = LogFiles::with_clock(&folder.0, limits, clock).unwrap();
        files.write_all(b"yesterday\n").unwrap();
        NOW.store(2 * DAY, Ordering::Relaxed);
        files.write_all(b"today\n").unwrap();
        let names = folder.names();
        assert!(
            names[0].starts_with("1970-01-02T235959.00000."),
            "{names:?}"
        );
        assert!(
            names[1].starts_with("1970-01-03T000000.00001."),
            "{names:?}"
        );
        assert_eq!(names.len(), 2);
    }
}
