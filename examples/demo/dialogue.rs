//! The three conversations: SMTP in, IMAP and POP3 out.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::site::{PASSWORD, Site, USER};
use crate::transcript::Transcript;

/// Sends a message and reads it back. The demonstration ran if this is no error.
pub(crate) async fn all(site: &Site) -> Result<()> {
    let message = message()?;
    send(site, &message).await?;
    fetch_by_imap(site, &message).await?;
    fetch_by_pop3(site, &message).await
}

/// A message that no other run sends. One line begins with a dot.
fn message() -> Result<Vec<String>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
    let lines = [
        "From: The Rabbit <rabbit@example.org>",
        "To: Alice <alice@example.org>",
        &format!("Subject: I shall be late ({now})"),
        "",
        "Oh dear! Oh dear!",
        ".. I shall be too late!",
    ];
    Ok(lines.map(str::to_string).to_vec())
}

async fn send(site: &Site, message: &[String]) -> Result<()> {
    let mut smtp = Transcript::open("SMTP", site.places.smtp).await?;
    smtp.say("EHLO client.example.org").await?;
    smtp_reply(&mut smtp, "250").await?;
    smtp.say_secret("AUTH PLAIN ", &STANDARD.encode(format!("\0{USER}\0{PASSWORD}"))).await?;
    smtp_reply(&mut smtp, "235").await?;
    smtp.say("MAIL FROM:<rabbit@example.org>").await?;
    smtp_reply(&mut smtp, "250").await?;
    smtp.say("RCPT TO:<alice@example.org>").await?;
    smtp_reply(&mut smtp, "250").await?;
    smtp.say("DATA").await?;
    smtp_reply(&mut smtp, "354").await?;
    for line in message {
        smtp.say(&stuffed(line)).await?;
    }
    smtp.say(".").await?;
    smtp_reply(&mut smtp, "250").await?;
    smtp.say("QUIT").await?;
    smtp_reply(&mut smtp, "221").await
}

/// Hears a reply of one or more lines.
async fn smtp_reply(smtp: &mut Transcript, code: &str) -> Result<()> {
    let lines = smtp.hear_until(|line| line.as_bytes().get(3) != Some(&b'-')).await?;
    ensure!(lines.iter().all(|line| line.starts_with(code)), "not the {code} that should come");
    Ok(())
}

fn stuffed(line: &str) -> String {
    if line.starts_with('.') { format!(".{line}") } else { line.to_string() }
}

async fn fetch_by_imap(site: &Site, message: &[String]) -> Result<()> {
    let mut imap = Transcript::open("IMAP", site.places.imap).await?;
    imap.say_secret(&format!("a LOGIN {USER} "), PASSWORD).await?;
    imap_answer(&mut imap, "a").await?;
    imap.say("b SELECT INBOX").await?;
    imap_answer(&mut imap, "b").await?;
    imap.say("c FETCH 1 BODY[]").await?;
    let mut lines = imap_answer(&mut imap, "c").await?;
    // Behind the message: what closes the FETCH response, and the tagged answer.
    lines.truncate(lines.len().saturating_sub(2));
    ensure!(lines.ends_with(message), "this is not the message that was sent");
    imap.say("d LOGOUT").await?;
    imap_answer(&mut imap, "d").await?;
    Ok(())
}

/// Hears everything up to the tagged answer, which has to be OK.
async fn imap_answer(imap: &mut Transcript, tag: &str) -> Result<Vec<String>> {
    let tagged = format!("{tag} ");
    let lines = imap.hear_until(|line| line.starts_with(&tagged)).await?;
    ensure!(lines.last().is_some_and(|line| line[tagged.len()..].starts_with("OK")), "not the OK that should come");
    Ok(lines)
}

async fn fetch_by_pop3(site: &Site, message: &[String]) -> Result<()> {
    let mut pop3 = Transcript::open("POP3", site.places.pop3).await?;
    pop3.say(&format!("USER {USER}")).await?;
    pop3_ok(&mut pop3).await?;
    pop3.say_secret("PASS ", PASSWORD).await?;
    pop3_ok(&mut pop3).await?;
    pop3.say("RETR 1").await?;
    pop3_ok(&mut pop3).await?;
    let mut lines = pop3.hear_until(|line| line == ".").await?;
    lines.pop();
    let message: Vec<String> = message.iter().map(|line| stuffed(line)).collect();
    ensure!(lines.ends_with(&message), "this is not the message that was sent");
    pop3.say("QUIT").await?;
    pop3_ok(&mut pop3).await
}

async fn pop3_ok(pop3: &mut Transcript) -> Result<()> {
    ensure!(pop3.hear().await?.starts_with("+OK"), "not the +OK that should come");
    Ok(())
}
