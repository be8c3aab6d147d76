//! Unified diffs, line for line the ones that Talos shows.

/// Lines around a change.
const CONTEXT: usize = 3;
/// Texts with more lines together are only said to differ.
const MOST_LINES: usize = 75_000;
/// How often a stretch is cut in two before it is compared as a whole.
const DEEPEST: usize = 30;
/// Stretches that are shorter on both sides are compared as a whole.
const SHORT: usize = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edit<'t> {
    Keep(&'t str),
    Remove(&'t str),
    Add(&'t str),
}

pub(super) fn unified(a: &str, b: &str) -> String {
    if a == b {
        return String::new();
    }
    let breaks = |text: &str| text.matches('\n').count();
    let (old, new) = (breaks(a), breaks(b));
    if old + new > MOST_LINES {
        return format!("@@ -1,{old} +1,{new} @@ diff too large to display\n");
    }
    let lines = |text| str::split_terminator(text, '\n').collect::<Vec<&str>>();
    let (a, b) = (lines(a), lines(b));
    let mut edits = Vec::with_capacity(a.len() + b.len());
    compare(&a, &b, 0, &mut edits);
    shown(&edits)
}

fn shown(edits: &[Edit<'_>]) -> String {
    let mut out = String::from("--- a\n+++ b\n");
    let changes: Vec<usize> = (0..edits.len())
        .filter(|at| !matches!(edits[*at], Edit::Keep(_)))
        .collect();
    // Changes whose context would overlap stand in one piece.
    let mut pieces: Vec<(usize, usize)> = Vec::new();
    for at in changes {
        let (start, end) = (
            at.saturating_sub(CONTEXT),
            edits.len().min(at + CONTEXT + 1),
        );
        match pieces.last_mut() {
            Some((_, last)) if start < *last => *last = end,
            _ => pieces.push((start, end)),
        }
    }
    for (start, end) in pieces {
        let count = |range: &[Edit<'_>]| {
            let old = range.iter().filter(|e| !matches!(e, Edit::Add(_))).count();
            let new = range
                .iter()
                .filter(|e| !matches!(e, Edit::Remove(_)))
                .count();
            (old, new)
        };
        let (before_old, before_new) = count(&edits[..start]);
        let (old, new) = count(&edits[start..end]);
        // A side without lines is told with the line before it.
        let first = |before: usize, length: usize| before + usize::from(length > 0);
        out.push_str(&format!(
            "@@ -{},{old} +{},{new} @@\n",
            first(before_old, old),
            first(before_new, new)
        ));
        for edit in &edits[start..end] {
            let (mark, line) = match edit {
                Edit::Keep(line) => (' ', line),
                Edit::Remove(line) => ('-', line),
                Edit::Add(line) => ('+', line),
            };
            out.push(mark);
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

fn compare<'t>(a: &[&'t str], b: &[&'t str], depth: usize, edits: &mut Vec<Edit<'t>>) {
    if a.is_empty() || b.is_empty() || depth >= DEEPEST || (a.len() < SHORT && b.len() < SHORT) {
        return whole(a, b, edits);
    }
    let head = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let (rest_a, rest_b) = (&a[head..], &b[head..]);
    let tail = rest_a
        .iter()
        .rev()
        .zip(rest_b.iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    if head > 0 || tail > 0 {
        edits.extend(a[..head].iter().map(|line| Edit::Keep(line)));
        let (middle_a, end_a) = rest_a.split_at(rest_a.len() - tail);
        let middle_b = &rest_b[..rest_b.len() - tail];
        compare(middle_a, middle_b, depth + 1, edits);
        edits.extend(end_a.iter().map(|line| Edit::Keep(line)));
        return;
    }
    let common = middle(a, b);
    compare(&a[..common.a], &b[..common.b], depth + 1, edits);
    let (end_a, end_b) = (common.a + common.length, common.b + common.length);
    edits.extend(a[common.a..end_a].iter().map(|line| Edit::Keep(line)));
    compare(&a[end_a..], &b[end_b..], depth + 1, edits);
}

/// The longest common subsequence of two short stretches.
fn whole<'t>(a: &[&'t str], b: &[&'t str], edits: &mut Vec<Edit<'t>>) {
    if a.is_empty() || b.is_empty() {
        edits.extend(a.iter().map(|line| Edit::Remove(line)));
        edits.extend(b.iter().map(|line| Edit::Add(line)));
        return;
    }
    let width = b.len() + 1;
    let mut longest = vec![0_u32; (a.len() + 1) * width];
    for (i, left) in a.iter().enumerate() {
        for (j, right) in b.iter().enumerate() {
            longest[(i + 1) * width + j + 1] = if left == right {
                longest[i * width + j] + 1
            } else {
                longest[i * width + j + 1].max(longest[(i + 1) * width + j])
            };
        }
    }
    let mut pairs = Vec::new();
    let (mut i, mut j) = (a.len(), b.len());
    while i > 0 && j > 0 {
        if a[i - 1] == b[j - 1] {
            (i, j) = (i - 1, j - 1);
            pairs.push((i, j));
        } else if longest[(i - 1) * width + j] > longest[i * width + j - 1] {
            i -= 1;
        } else {
            j -= 1;
        }
    }
    let (mut from_a, mut from_b) = (0, 0);
    for (i, j) in pairs.into_iter().rev() {
        edits.extend(a[from_a..i].iter().map(|line| Edit::Remove(line)));
        edits.extend(b[from_b..j].iter().map(|line| Edit::Add(line)));
        edits.push(Edit::Keep(a[i]));
        (from_a, from_b) = (i + 1, j + 1);
    }
    edits.extend(a[from_a..].iter().map(|line| Edit::Remove(line)));
    edits.extend(b[from_b..].iter().map(|line| Edit::Add(line)));
}

/// A run of equal lines: where it starts on both sides.
#[derive(Clone, Copy, Default)]
struct Run {
    a: usize,
    b: usize,
    length: usize,
}

/// A run in the middle of a shortest way from one text to the other, found by walking from both ends at once. Each
/// walk keeps, by diagonal (place in `a` less place in `b`), how far it came.
fn middle(a: &[&str], b: &[&str]) -> Run {
    let (n, m) = (a.len() as i64, b.len() as i64);
    if n == 1 || m == 1 {
        let hit = (0..a.len())
            .flat_map(|i| (0..b.len()).map(move |j| (i, j)))
            .find(|(i, j)| a[*i] == b[*j]);
        return hit.map_or_else(Run::default, |(a, b)| Run { a, b, length: 1 });
    }
    let same = |x: i64, y: i64| {
        let at = |place: i64| usize::try_from(place).unwrap_or(usize::MAX);
        match (a.get(at(x)), b.get(at(y))) {
            (Some(left), Some(right)) => left == right,
            _ => false,
        }
    };
    let (most, delta) = ((n + m + 1) / 2, n - m);
    let mut forward = Walk::new(most, delta);
    let mut backward = Walk::new(most, delta);
    forward.set(0, 0);
    backward.set(delta, n);
    for d in 0..=most {
        for k in (-d..=d).step_by(2) {
            let right = forward.get(k - 1).filter(|_| k > -d).map(|x| x + 1);
            let down = forward.get(k + 1).filter(|_| k < d);
            let start = match (right, down) {
                (Some(right), Some(down)) => right.max(down),
                (Some(x), None) | (None, Some(x)) => x,
                (None, None) if k == 0 && d == 0 => 0,
                (None, None) => continue,
            };
            let start = start.min(n);
            if !forward.has(k) || !(0..=m).contains(&(start - k)) {
                continue;
            }
            let mut x = start;
            while same(x, x - k) {
                x += 1;
            }
            forward.set(k, x);
            let may_meet = delta % 2 != 0 && (delta - (d - 1)..=delta + (d - 1)).contains(&k);
            if may_meet && backward.get(k).is_some_and(|other| x >= other) {
                return run(start, start - k, x - start);
            }
        }
        for k in (-d..=d).step_by(2).map(|k| k + delta) {
            let left = backward.get(k - 1).filter(|_| k > -d + delta);
            let up = backward.get(k + 1).filter(|_| k < d + delta).map(|x| x - 1);
            let end = match (left, up) {
                (Some(left), Some(up)) => left.min(up),
                (Some(x), None) | (None, Some(x)) => x,
                (None, None) => continue,
            };
            let end = end.max(0);
            if !backward.has(k) || !(0..=m).contains(&(end - k)) {
                continue;
            }
            let mut x = end;
            while same(x - 1, x - k - 1) {
                x -= 1;
            }
            backward.set(k, x);
            let may_meet = delta % 2 == 0 && (-d..=d).contains(&k);
            if may_meet && forward.get(k).is_some_and(|other| other >= x) {
                return run(x, x - k, end - x);
            }
        }
    }
    Run::default()
}

fn run(a: i64, b: i64, length: i64) -> Run {
    let at = |value: i64| usize::try_from(value).unwrap_or_default();
    Run {
        a: at(a),
        b: at(b),
        length: at(length),
    }
}

/// How far a walk came, by diagonal.
struct Walk {
    reached: Vec<i64>,
    offset: i64,
}

impl Walk {
    fn new(most: i64, delta: i64) -> Self {
        let size = usize::try_from(2 * most + 1 + delta.abs()).unwrap_or_default();
        Self {
            reached: vec![-1; size],
            offset: most + (-delta).max(0),
        }
    }

    fn index(&self, k: i64) -> Option<usize> {
        let at = usize::try_from(self.offset + k).ok()?;
        (at < self.reached.len()).then_some(at)
    }

    fn has(&self, k: i64) -> bool {
        self.index(k).is_some()
    }

    fn get(&self, k: i64) -> Option<i64> {
        self.index(k)
            .map(|at| self.reached[at])
            .filter(|x| *x != -1)
    }

    fn set(&mut self, k: i64, x: i64) {
        if let Some(at) = self.index(k) {
            self.reached[at] = x;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::unified;

    #[test]
    fn a_changed_line_stands_between_three_others() {
        let old: String = (0..20).map(|n| format!("line {n}\n")).collect();
        let new = old.replace("line 10\n", "line ten\n");
        let wanted = "--- a\n+++ b\n@@ -8,7 +8,7 @@\n line 7\n line 8\n line 9\n-line 10\n+line ten\n line 11\n line 12\n line 13\n";
        assert_eq!(unified(&old, &new), wanted);
        assert_eq!(unified(&old, &old), "");
    }

    #[test]
    fn applying_the_edits_gives_the_other_text() {
        let mut state = 7_u64;
        let mut text = || -> String {
            let mut out = String::new();
            for _ in 0..60 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                out.push_str(&format!("{}\n", state >> 61));
            }
            out
        };
        for _ in 0..50 {
            let (a, b) = (text(), text());
            let (old, new): (Vec<&str>, Vec<&str>) = (a.lines().collect(), b.lines().collect());
            let mut edits = Vec::new();
            super::compare(&old, &new, 0, &mut edits);
            let side = |skip: fn(&super::Edit<'_>) -> bool| -> Vec<&str> {
                let kept = edits.iter().filter(|edit| !skip(edit));
                kept.map(|edit| match edit {
                    super::Edit::Keep(line)
                    | super::Edit::Remove(line)
                    | super::Edit::Add(line) => *line,
                })
                .collect()
            };
            assert_eq!(side(|edit| matches!(edit, super::Edit::Add(_))), old);
            assert_eq!(side(|edit| matches!(edit, super::Edit::Remove(_))), new);
        }
    }
}
