//! Texts with a limit.

/// Cuts a text to at most `limit` bytes, at a character's end, and shows that it was cut.
pub fn cut(text: String, limit: usize) -> String {
    const MARK: &str = " ...";
    if text.len() <= limit {
        return text;
    }
    let mut end = limit.saturating_sub(MARK.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut text = text;
    text.truncate(end);
    if limit >= MARK.len() {
        text.push_str(MARK);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn a_text_is_cut_at_a_characters_end() {
        for (text, limit, expected) in [("abc", 3, "abc"), ("abcdefgh", 7, "abc ..."), ("aäääää", 8, "aä ..."), ("äää", 3, ""), ("", 0, "")]
        {
            assert_eq!(cut(text.to_owned(), limit), expected, "{text} {limit}");
        }
    }
}
