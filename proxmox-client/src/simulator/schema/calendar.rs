//! Calendar events: `mon..fri 02:30`, `*/15`, `daily`, `*-*-1 0/6:00`.

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const WORDS: [&str; 10] = [
    "minutely",
    "hourly",
    "daily",
    "weekly",
    "monthly",
    "yearly",
    "annually",
    "quarterly",
    "semiannually",
    "semi-annually",
];

/// Holds a text against the grammar: days, then a date, then a time; each may be left out.
pub(super) fn check(text: &str) -> Result<(), String> {
    let mut words = text.split_whitespace().peekable();
    let refused = |at: &str, what: &str| {
        Err(format!(
            "invalid calendar event '{text}' - unable to parse calendar event at '{at}' - Context(\"{what}\")\n\n"
        ))
    };
    let Some(first) = words.peek().copied() else {
        return Err("invalid calendar event '' - value is empty\n".to_owned());
    };
    if WORDS.contains(&first.to_ascii_lowercase().as_str()) {
        words.next();
    } else {
        if first.starts_with(|c: char| c.is_ascii_alphabetic()) {
            if !is_days(first) {
                return refused(first, "weekday");
            }
            words.next();
        }
        if let Some(word) = words.next_if(|word| word.contains('-')) {
            let parts: Vec<&str> = word.split('-').collect();
            let right = match parts.as_slice() {
                [year, month, day] => {
                    is_field(year, 1970, 9999) && is_field(month, 1, 12) && is_field(day, 1, 31)
                }
                [month, day] => is_field(month, 1, 12) && is_field(day, 1, 31),
                _ => false,
            };
            if !right {
                return refused(word, "date");
            }
        }
        if let Some(word) = words.next_if(|word| *word != "UTC") {
            let parts: Vec<&str> = word.split(':').collect();
            let right = match parts.as_slice() {
                [minute] => is_field(minute, 0, 59),
                [hour, minute] => is_field(hour, 0, 23) && is_field(minute, 0, 59),
                [hour, minute, second] => {
                    is_field(hour, 0, 23) && is_field(minute, 0, 59) && is_field(second, 0, 59)
                }
                _ => false,
            };
            if !right {
                return refused(word, "time");
            }
        }
    }
    match words.find(|word| *word != "UTC") {
        Some(word) => refused(word, "end"),
        None => Ok(()),
    }
}

/// `mon`, `Monday`, `mon..fri`, and lists of these.
fn is_days(text: &str) -> bool {
    let day = |text: &str| {
        let text = text.to_ascii_lowercase();
        let full = |short: &str| match short {
            "tue" => "tuesday".to_owned(),
            "wed" => "wednesday".to_owned(),
            "thu" => "thursday".to_owned(),
            "sat" => "saturday".to_owned(),
            short => format!("{short}day"),
        };
        DAYS.iter()
            .position(|short| text == *short || text == full(short))
    };
    text.split(',').all(|part| match part.split_once("..") {
        Some((first, last)) => {
            matches!((day(first), day(last)), (Some(first), Some(last)) if first < last)
        }
        None => day(part).is_some(),
    })
}

/// `*`, `5`, `1..5`, `*/15`, `0/6`, and lists of these.
fn is_field(text: &str, low: u32, high: u32) -> bool {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u32>()
            .ok()
            .filter(|number| digits && (low..=high).contains(number))
    };
    text.split(',').all(|part| {
        let (start, step) = match part.split_once('/') {
            Some((start, step)) => (start, Some(step)),
            None => (part, None),
        };
        let started = match start.split_once("..") {
            Some((first, last)) => {
                matches!((number(first), number(last)), (Some(first), Some(last)) if first < last)
            }
            None => start == "*" || number(start).is_some(),
        };
        started && step.is_none_or(|step| step.parse::<u32>().is_ok_and(|step| step > 0))
    })
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn events_are_days_dates_and_times() {
        for right in [
            "*/15",
            "daily",
            "02:30",
            "mon..fri 02:30",
            "sat 18:15",
            "mon,wed 0/6:00",
            "*-*-1 03:00:00",
            "2026-12-24 18:00",
            "8..17,22:0/15",
            "sun",
            "Monday 1:00",
        ] {
            assert_eq!(check(right), Ok(()), "{right}");
        }
        for wrong in [
            "",
            "25:00",
            "fri..mon 1:00",
            "*-13-1",
            "1:2:3:4",
            "x",
            "1:00 2:00",
            "*/0",
            "mon-fri",
        ] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            check("not a schedule").unwrap_err(),
            "invalid calendar event 'not a schedule' - unable to parse calendar event at 'not' - Context(\"weekday\")\n\n"
        );
    }
}
