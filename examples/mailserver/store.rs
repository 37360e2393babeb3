//! Users and their mailboxes, in memory.
//!
//! A store takes [`CAPACITY`] bytes of messages in all. Each mailbox tells those who watch it when something changed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

/// The most that all messages together may take, bytes.
pub(crate) const CAPACITY: usize = 512 * 1024 * 1024;
/// The largest message, bytes.
pub(crate) const MESSAGE_LIMIT: usize = 64 * 1024 * 1024;
/// The most mailboxes a user may make.
const MAILBOXES_LIMIT: usize = 100;

/// Everything.
pub(crate) struct Store {
    users: HashMap<String, Arc<User>>,
    used: AtomicUsize,
}

/// An account.
pub(crate) struct User {
    password: String,
    mailboxes: Mutex<BTreeMap<String, Arc<Mailbox>>>,
}

/// A mailbox. `INBOX` is always there.
pub(crate) struct Mailbox {
    /// IMAP's UIDVALIDITY.
    pub(crate) validity: u32,
    contents: Mutex<Contents>,
    changed: watch::Sender<()>,
}

struct Contents {
    next_uid: u32,
    messages: Vec<Message>,
}

/// A message.
#[derive(Clone)]
pub(crate) struct Message {
    /// Its number, unique in the mailbox for ever.
    pub(crate) uid: u32,
    /// IMAP flags, as `\Seen`.
    pub(crate) flags: BTreeSet<String>,
    /// When it arrived, or what APPEND said: seconds since 1970.
    pub(crate) date: u64,
    /// All of it, as it came.
    pub(crate) bytes: Arc<[u8]>,
}

/// The store has no room left, or the message is too large for it.
#[derive(Debug)]
pub(crate) struct Full;

impl Store {
    /// A store with these users (name to password), each with an empty `INBOX`.
    pub(crate) fn new(users: HashMap<String, String>) -> Store {
        let users = users.into_iter().map(|(name, password)| (name, Arc::new(User::new(password)))).collect();
        Store { users, used: AtomicUsize::new(0) }
    }

    /// Whose name and password these are.
    pub(crate) fn log_in(&self, name: &[u8], password: &[u8]) -> Option<Arc<User>> {
        let user = self.users.get(std::str::from_utf8(name).ok()?)?;
        (user.password.as_bytes() == password).then(|| user.clone())
    }

    /// Who gets the mail for an address: the user of that name, or of the name before its `@`.
    pub(crate) fn recipient(&self, address: &str) -> Option<&Arc<User>> {
        let local = address.split('@').next().unwrap_or_default();
        self.users.get(address).or_else(|| self.users.get(local))
    }

    /// Puts a message into a mailbox and returns its UID.
    ///
    /// # Errors
    /// When there is no room.
    pub(crate) fn deliver(
        &self,
        mailbox: &Mailbox,
        bytes: Arc<[u8]>,
        flags: BTreeSet<String>,
        date: u64,
    ) -> Result<u32, Full> {
        let size = bytes.len();
        if size > MESSAGE_LIMIT {
            return Err(Full);
        }
        if self.used.fetch_add(size, Ordering::Relaxed) + size > CAPACITY {
            self.used.fetch_sub(size, Ordering::Relaxed);
            return Err(Full);
        }
        Ok(mailbox.add(bytes, flags, date))
    }

    /// Removes the messages for which `doomed` is true.
    pub(crate) fn expunge(&self, mailbox: &Mailbox, doomed: impl Fn(&Message) -> bool) {
        self.used.fetch_sub(mailbox.remove(doomed), Ordering::Relaxed);
    }
}

impl User {
    fn new(password: String) -> User {
        let inbox = ("INBOX".to_string(), Arc::new(Mailbox::new()));
        User { password, mailboxes: Mutex::new(BTreeMap::from([inbox])) }
    }

    /// The `INBOX`.
    pub(crate) fn inbox(&self) -> Arc<Mailbox> {
        self.mailbox("INBOX").expect("every user has an INBOX")
    }

    /// A mailbox by its name; `INBOX` in any case.
    pub(crate) fn mailbox(&self, name: &str) -> Option<Arc<Mailbox>> {
        self.mailboxes().get(&canonical(name)).cloned()
    }

    /// The names of all mailboxes.
    pub(crate) fn names(&self) -> Vec<String> {
        self.mailboxes().keys().cloned().collect()
    }

    /// Makes a mailbox; false if it exists or the user has too many.
    pub(crate) fn create(&self, name: &str) -> bool {
        let mut mailboxes = self.mailboxes();
        let name = canonical(name);
        if name.is_empty() || mailboxes.len() >= MAILBOXES_LIMIT || mailboxes.contains_key(&name) {
            return false;
        }
        mailboxes.insert(name, Arc::new(Mailbox::new()));
        true
    }

    fn mailboxes(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Mailbox>>> {
        self.mailboxes.lock().expect("no holder of the lock panics")
    }
}

fn canonical(name: &str) -> String {
    if name.eq_ignore_ascii_case("INBOX") { "INBOX".to_string() } else { name.to_string() }
}

impl Mailbox {
    fn new() -> Mailbox {
        let contents = Contents { next_uid: 1, messages: Vec::new() };
        Mailbox { validity: now() as u32, contents: Mutex::new(contents), changed: watch::Sender::new(()) }
    }

    /// A receiver that wakes when messages come, go or change.
    pub(crate) fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// All messages, by UID.
    pub(crate) fn messages(&self) -> Vec<Message> {
        self.contents().messages.clone()
    }

    /// One message.
    pub(crate) fn message(&self, uid: u32) -> Option<Message> {
        let contents = self.contents();
        let index = contents.messages.binary_search_by_key(&uid, |message| message.uid).ok()?;
        Some(contents.messages[index].clone())
    }

    /// The UID that the next message will have.
    pub(crate) fn next_uid(&self) -> u32 {
        self.contents().next_uid
    }

    /// Changes a message's flags and returns the new ones; `None` if the message is gone.
    pub(crate) fn flag(&self, uid: u32, change: impl FnOnce(&mut BTreeSet<String>)) -> Option<BTreeSet<String>> {
        let mut contents = self.contents();
        let index = contents.messages.binary_search_by_key(&uid, |message| message.uid).ok()?;
        let message = &mut contents.messages[index];
        change(&mut message.flags);
        let flags = message.flags.clone();
        drop(contents);
        self.changed.send_replace(());
        Some(flags)
    }

    fn add(&self, bytes: Arc<[u8]>, flags: BTreeSet<String>, date: u64) -> u32 {
        let mut contents = self.contents();
        let uid = contents.next_uid;
        contents.next_uid += 1;
        contents.messages.push(Message { uid, flags, date, bytes });
        drop(contents);
        self.changed.send_replace(());
        uid
    }

    /// Returns how many bytes that frees.
    fn remove(&self, doomed: impl Fn(&Message) -> bool) -> usize {
        let mut contents = self.contents();
        let mut freed = 0;
        contents.messages.retain(|message| {
            let doomed = doomed(message);
            freed += if doomed { message.bytes.len() } else { 0 };
            !doomed
        });
        drop(contents);
        self.changed.send_replace(());
        freed
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().expect("no holder of the lock panics")
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
