//! "Did you mean".

/// The nearest of the known words, if one is near enough to have been meant.
pub fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    // Longer than any key: whatever it is, it was not meant to be one.
    if word.len() > 32 {
        return None;
    }
    let word = word.to_lowercase().replace('_', "-");
    let distance = |known: &&str| edits(&word, &known.replace('_', "-"));
    let (distance, near) = known.iter().map(|known| (distance(known), *known)).min()?;
    (distance <= near.len().max(3) / 3).then_some(near)
}

/// The words for a sentence.
pub fn list(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// How many characters must be put in, taken out or replaced to make one of the other (Levenshtein).
fn edits(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, b) in other.chars().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[other.chars().count()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let known = ["name", "remote", "ignore-df", "state_dir", "ttl"];
        for (word, near) in
            [("remotes", "remote"), ("ignore_df", "ignore-df"), ("state-dir", "state_dir"), ("TTL", "ttl")]
        {
            assert_eq!(nearest(word, &known), Some(near));
        }
        assert_eq!(nearest("colour", &known), None);
        assert_eq!(nearest("", &known), None);
    }
}
