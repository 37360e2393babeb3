//! Lines about what may happen very often: the first at its level, those that follow at level `info`, and one a minute that
//! tells how many they were.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::event_loop::{self, time::sleep};
use crate::log::{Level, Log};

/// How long lines are counted.
const INTERVAL: Duration = Duration::from_secs(60);

/// What was written and is counted now: messages without context, and how often each has come since. Of messages there are
/// only few, so nothing in them may come from outside.
#[derive(Debug, Default)]
pub struct Seldom(Mutex<HashMap<String, u64>>);

impl Seldom {
    /// The level at which this message is to be written now. When the interval that it may begin is over, `log` gets a
    /// line with the number of the others. It must be called in an event loop.
    pub fn level(self: &Arc<Seldom>, level: Level, message: &str, log: &Arc<Log>) -> Level {
        if level >= Level::Info {
            return level;
        }
        let mut counts = self.counts();
        if let Some(more) = counts.get_mut(message) {
            *more += 1;
            return Level::Info;
        }
        counts.insert(message.to_string(), 0);
        drop(counts);
        event_loop::spawn(sum_up(self.clone(), level, message.to_string(), log.clone()));
        level
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<String, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn sum_up(seldom: Arc<Seldom>, level: Level, message: String, log: Arc<Log>) {
    sleep(INTERVAL).await;
    let more = seldom.counts().remove(&message).unwrap_or_default();
    if more > 0 {
        let times = if more == 1 { "once" } else { "times" };
        let number = if more == 1 { String::new() } else { format!("{more} ") };
        log.write(level, None, format_args!("{message}, {number}{times} more in {} seconds", INTERVAL.as_secs()));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::event_loop::testing;
    use crate::log::{Destination, Logs, Spec};

    #[test]
    fn the_first_line_and_then_one_an_interval() {
        testing::run_paused(|| async {
            let home = tempfile::tempdir().unwrap();
            let path = home.path().join("log");
            let spec = Spec { destination: Destination::File(path.clone()), level: Level::Error };
            let log = Logs::default().open(&[spec]).unwrap();
            let seldom = Arc::<Seldom>::default();
            let say = |what: &str| seldom.level(Level::Error, what, &log);
            for expected in [Level::Error, Level::Info, Level::Info] {
                assert_eq!(say("a"), expected);
            }
            assert_eq!(say("b"), Level::Error);
            assert_eq!(seldom.level(Level::Info, "a", &log), Level::Info);
            sleep(INTERVAL + Duration::from_secs(1)).await;
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.ends_with(": a, 2 times more in 60 seconds\n"), "{text}");
            assert_eq!(text.lines().count(), 1, "{text}");
            assert_eq!([say("a"), say("a")], [Level::Error, Level::Info]);
            sleep(INTERVAL + Duration::from_secs(1)).await;
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.ends_with(": a, once more in 60 seconds\n"), "{text}");
        });
    }
}
