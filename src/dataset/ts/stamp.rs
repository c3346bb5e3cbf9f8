//! Time stamps.

use std::cmp::Ordering;

/// A point in time: a number, or the seconds since 1970-01-01 00:00:00 of a date.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp {
    whole: i64,
    /// From 0 to below 1.
    part: f64,
}

/// How a stamp is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Number,
    Date,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Number => "a number",
            Self::Date => "a date",
        }
    }
}

impl Stamp {
    /// `None` for what is neither a number nor a date.
    pub(super) fn parse(text: &str) -> Option<(Kind, Self)> {
        let text = text.trim();
        if let Ok(whole) = text.parse() {
            return Some((Kind::Number, Self { whole, part: 0.0 }));
        }
        match text.parse::<f64>() {
            Ok(number) => {
                let whole = number.floor();
                // Beyond these bounds a stamp would lose its order among others.
                let inside = whole >= i64::MIN as f64 && whole < i64::MAX as f64;
                inside.then(|| {
                    let part = number - whole;
                    let whole = whole as i64;
                    (Kind::Number, Self { whole, part })
                })
            }
            Err(_) => Some((Kind::Date, Self::date(text)?)),
        }
    }

    /// The time from `start` until this one.
    pub(super) fn since(self, start: Self) -> f64 {
        (i128::from(self.whole) - i128::from(start.whole)) as f64 + (self.part - start.part)
    }

    pub(super) fn cmp(self, other: Self) -> Ordering {
        let parts = || self.part.total_cmp(&other.part);
        self.whole.cmp(&other.whole).then_with(parts)
    }

    /// A day, and perhaps a time of it.
    fn date(text: &str) -> Option<Self> {
        let is_between = |character: char| character.is_whitespace() || "Tt".contains(character);
        let (day, time) = text.split_once(is_between).unwrap_or((text, "0:00"));
        let [year, month, day] = split(day, if day.contains('/') { '/' } else { '-' })?;
        let year = digits(year, 4..=4)?;
        let (month, day) = (digits(month, 1..=2)?, digits(day, 1..=2)?);
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = match month {
            2 => 28 + i64::from(leap),
            4 | 6 | 9 | 11 => 30,
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            _ => return None,
        };
        if !(1..=days).contains(&day) {
            return None;
        }

        let (time, offset) = split_offset(time.trim())?;
        let (seconds, part) = time_of_day(time)?;
        let whole = days_since_1970(year, month, day) * 86_400 + seconds - offset;
        Some(Self { whole, part })
    }
}

/// Days of the Gregorian calendar. A year begins in March here, so that the leap day is its last one.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month < 3 {
        (year - 1, month + 9)
    } else {
        (year, month - 3)
    };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    year * 365 + leap_days + day_of_year - 719_468
}

/// A time without its offset from UTC, and the seconds of that.
fn split_offset(time: &str) -> Option<(&str, i64)> {
    if let Some(time) = time.strip_suffix(['Z', 'z']) {
        return Some((time.trim_end(), 0));
    }
    let Some(at) = time.find(['+', '-']) else {
        return Some((time, 0));
    };
    let (time, offset) = time.split_at(at);
    let sign = if offset.starts_with('-') { -1 } else { 1 };
    let offset = &offset[1..];
    let (hours, minutes) = match offset.split_once(':') {
        Some(parts) => parts,
        None if offset.len() == 4 && offset.is_ascii() => offset.split_at(2),
        None => (offset, "0"),
    };
    let (hours, minutes) = (digits(hours, 1..=2)?, digits(minutes, 1..=2)?);
    let inside = hours < 24 && minutes < 60;
    inside.then(|| (time.trim_end(), sign * (hours * 3600 + minutes * 60)))
}

/// The whole seconds and the part of one since midnight.
fn time_of_day(time: &str) -> Option<(i64, f64)> {
    let (time, part) = time.split_at(time.find('.').unwrap_or(time.len()));
    if !part.bytes().skip(1).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = if part.is_empty() {
        0.0
    } else {
        part.parse().ok()?
    };
    let mut parts = time.split(':');
    let hours = digits(parts.next()?, 1..=2)?;
    let minutes = digits(parts.next()?, 1..=2)?;
    let seconds = parts.next().map_or(Some(0), |text| digits(text, 1..=2))?;
    let inside = hours < 24 && minutes < 60 && seconds < 60 && parts.next().is_none();
    inside.then_some((hours * 3600 + minutes * 60 + seconds, part))
}

fn split(text: &str, by: char) -> Option<[&str; 3]> {
    let mut parts = text.split(by);
    let found = [parts.next()?, parts.next()?, parts.next()?];
    parts.next().is_none().then_some(found)
}

/// A number of that many digits.
fn digits(text: &str, count: std::ops::RangeInclusive<usize>) -> Option<i64> {
    let all = text.bytes().all(|byte| byte.is_ascii_digit());
    (all && count.contains(&text.len()))
        .then(|| text.parse().ok())
        .flatten()
}
