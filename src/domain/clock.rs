//! Timestamps, and the clock as a parameter of the service.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// An instant, in microseconds since the Unix epoch. Written as RFC 3339 in UTC with six decimals
/// (spec/contract/CONTRACT.md §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The instant that many microseconds after the Unix epoch.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the Unix epoch.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down: the precision of an HTTP date.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// The instant that is earlier by this duration.
    #[must_use]
    pub fn earlier(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }

    /// The instant that is later by this duration.
    #[must_use]
    pub fn later(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }

    /// The next representable instant.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Parses an RFC 3339 timestamp. The flag is true if the instant is a whole number of microseconds; if not, it is
    /// rounded down.
    #[must_use]
    pub fn parse(text: &str) -> Option<(Self, bool)> {
        let nanos = OffsetDateTime::parse(&text.replace(',', "."), &Rfc3339).ok()?.unix_timestamp_nanos();
        let micros = i64::try_from(nanos.div_euclid(1_000)).ok()?;
        Some((Self(micros), nanos.rem_euclid(1_000) == 0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000).map_err(|_| fmt::Error)?;
        let (year, month, day) = at.to_calendar_date();
        let (hour, minute, second, micro) = at.to_hms_micro();
        write!(f, "{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micro:06}Z", u8::from(month))
    }
}

/// A source of the current time.
pub trait Clock: Send + Sync {
    /// The current time. It may go back between two calls.
    fn now(&self) -> Timestamp;
}

/// The operating system's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_written_with_six_decimals() {
        assert_eq!(Timestamp::from_micros(1_767_225_600_000_007).to_string(), "2026-01-01T00:00:00.000007Z");
    }

    #[test]
    fn parsing_tells_what_it_rounded() {
        let at = Timestamp::from_micros(1_767_225_600_000_007);
        assert_eq!(Timestamp::parse("2026-01-01T00:00:00.000007Z"), Some((at, true)));
        assert_eq!(Timestamp::parse("2026-01-01T00:00:00,000007Z"), Some((at, true)));
        assert_eq!(Timestamp::parse("2026-01-01T00:00:00.0000079Z"), Some((at, false)));
        assert_eq!(Timestamp::parse("2026-01-01T01:00:00.000007+01:00"), Some((at, true)));
        assert_eq!(Timestamp::parse("yesterday"), None);
    }
}
