//! The header of a message.

/// Header and body, the empty line between them with the header.
pub(crate) fn split(message: &[u8]) -> (&[u8], &[u8]) {
    if message.starts_with(b"\r\n") {
        return message.split_at(2);
    }
    match message.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
        Some(at) => message.split_at(at + 4),
        None => (message, b""),
    }
}

/// The fields of a header in order, each with its continuation lines and line ends.
pub(crate) fn fields(header: &[u8]) -> Vec<&[u8]> {
    let mut fields = Vec::new();
    let mut start = 0;
    let mut at = 0;
    for line in header.split_inclusive(|&byte| byte == b'\n') {
        if !line.starts_with(b" ") && !line.starts_with(b"\t") && at > start {
            fields.push(&header[start..at]);
            start = at;
        }
        at += line.len();
    }
    if at > start {
        fields.push(&header[start..at]);
    }
    fields.retain(|field| !field.starts_with(b"\r\n"));
    fields
}

/// The name of a field.
pub(crate) fn name(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|&byte| byte == b':').unwrap_or(0);
    field[..end].trim_ascii()
}

/// The value of the first field of a name, unfolded.
pub(crate) fn value(header: &[u8], wanted: &str) -> Option<String> {
    let field = fields(header).into_iter().find(|field| name(field).eq_ignore_ascii_case(wanted.as_bytes()))?;
    let text = String::from_utf8_lossy(field);
    let (_, value) = text.split_once(':')?;
    Some(value.replace("\r\n", "").trim().to_string())
}
