//! Values of flags: durations and sizes, as people write them.

use std::time::Duration;

/// Units of time and their length in seconds. A number alone is seconds.
const TIME_UNITS: [(&str, f64); 5] = [
    ("ms", 0.001),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
    ("d", 86_400.0),
];

/// Units of size: `K`, `M`, `G`, `T` with or without `iB` are powers of 1024, with `B` powers of
/// 1000. A number alone is bytes.
const SIZE_UNITS: [(&str, u64); 14] = [
    ("b", 1),
    ("k", 1 << 10),
    ("kib", 1 << 10),
    ("kb", 1_000),
    ("m", 1 << 20),
    ("mib", 1 << 20),
    ("mb", 1_000_000),
    ("g", 1 << 30),
    ("gib", 1 << 30),
    ("gb", 1_000_000_000),
    ("t", 1 << 40),
    ("tib", 1 << 40),
    ("tb", 1_000_000_000_000),
    ("", 1),
];

/// Longest duration that a flag takes: beyond a year something was mistyped.
const MAX_SECONDS: f64 = 366.0 * 86_400.0;

/// Reads `60s`, `5m`, `1.5h`, `200ms`, or plain seconds.
///
/// # Errors
/// In words, for the command line.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text)?;
    let seconds = match unit.as_str() {
        "" => number,
        unit => {
            number
                * find(&TIME_UNITS, unit)
                    .ok_or_else(|| format!("{unit:?} is no unit of time: ms, s, m, h or d"))?
        }
    };
    if seconds > MAX_SECONDS {
        return Err("more than a year".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// A duration that is not zero.
///
/// # Errors
/// In words, for the command line.
pub(crate) fn positive_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("it must be longer than zero".to_owned()),
        time => Ok(time),
    }
}

/// Reads `10GiB`, `500M`, `1.5g`, or plain bytes.
///
/// # Errors
/// In words, for the command line.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text)?;
    let factor = find(&SIZE_UNITS, &unit).ok_or_else(|| {
        format!("{unit:?} is no unit of size: K, M, G, T, KiB, MiB, GiB, TiB, KB, MB, GB, TB")
    })?;
    if let Ok(whole) = text[..text.len() - unit.len()].trim().parse::<u64>() {
        return whole
            .checked_mul(factor)
            .ok_or_else(|| "more than 16 EiB".to_owned());
    }
    let bytes = number * factor as f64;
    if bytes >= u64::MAX as f64 {
        return Err("more than 16 EiB".to_owned());
    }
    Ok(bytes as u64)
}

/// Reads an octal mask, `022` or `0o22`.
///
/// # Errors
/// In words, for the command line.
pub(crate) fn umask(text: &str) -> Result<u16, String> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    u16::from_str_radix(digits, 8)
        .ok()
        .filter(|mask| *mask <= 0o777)
        .ok_or_else(|| "an octal mask from 000 to 777".to_owned())
}

fn find<T: Copy>(units: &[(&str, T)], unit: &str) -> Option<T> {
    units
        .iter()
        .find(|(name, _)| *name == unit)
        .map(|(_, factor)| *factor)
}

/// A number that is not negative, and the unit in lower case.
fn split(text: &str) -> Result<(f64, String), String> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let number = text[..end]
        .parse::<f64>()
        .map_err(|_| "it must begin with a number".to_owned())?;
    let unit = text[end..].to_ascii_lowercase();
    if !unit.is_ascii() {
        return Err(format!("{unit:?} is no unit"));
    }
    Ok((number, unit.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_in_every_unit() {
        for (text, millis) in [
            ("60s", 60_000),
            ("60", 60_000),
            ("5m", 300_000),
            ("1.5h", 5_400_000),
            ("200ms", 200),
            ("0", 0),
            ("1D", 86_400_000),
        ] {
            assert_eq!(duration(text).unwrap().as_millis(), millis, "{text}");
        }
        for text in ["", "s", "-1", "1w", "1e3", "400d", "1.2.3", "∞"] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(positive_duration("0s").is_err());
    }

    #[test]
    fn sizes_in_every_unit() {
        for (text, bytes) in [
            ("10GiB", 10 << 30),
            ("500M", 500 << 20),
            ("1MB", 1_000_000),
            ("0", 0),
            ("1.5k", 1536),
            ("7b", 7),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(size(text).unwrap(), bytes, "{text}");
        }
        for text in ["", "G", "-1", "1X", "99999999T", "1.5.2M"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn masks_are_octal() {
        assert_eq!(umask("022"), Ok(0o022));
        assert_eq!(umask("0o77"), Ok(0o077));
        assert!(umask("9").is_err() && umask("1777").is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(text in "\\PC{0,20}") {
            let _ = (duration(&text), size(&text), umask(&text));
        }

        #[test]
        fn whole_sizes_survive_exactly(bytes: u64) {
            prop_assert_eq!(size(&bytes.to_string()), Ok(bytes));
        }
    }
}
