//! `worker_cpu_affinity` and `env`, with nginx's checks.

use super::call::{Call, Outcome};
use super::settings::MainSettings;

/// Which processors each thread may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Affinity {
    /// `auto`: each thread has a processor of its own among those of the mask, or of the machine where there is none.
    pub auto: bool,
    /// The processors of each mask.
    pub masks: Vec<Vec<usize>>,
}

impl Affinity {
    /// The processors of a thread, counted from 0, on a machine with so many.
    pub fn of_thread(&self, thread: usize, processors: usize) -> Vec<usize> {
        if !self.auto {
            return self.masks.get(thread).or(self.masks.last()).cloned().unwrap_or_default();
        }
        let all: Vec<usize> = match self.masks.first() {
            Some(mask) => mask.iter().copied().filter(|number| *number < processors).collect(),
            None => (0..processors).collect(),
        };
        all.get(thread % all.len().max(1)).copied().into_iter().collect()
    }
}

/// `worker_cpu_affinity mask ...;` or `auto [mask]`
pub fn cpu_affinity(main: &mut MainSettings, call: &mut Call<'_>) -> Outcome {
    call.once(&main.cpu_affinity)?;
    let auto = call.args[0] == "auto";
    if auto && call.args.len() > 2 {
        return Err("invalid number of arguments in \"worker_cpu_affinity\" directive".to_string());
    }
    let masks = call.args[usize::from(auto)..].iter().map(|mask| processors(mask));
    main.cpu_affinity = Some(Affinity { auto, masks: masks.collect::<Outcome<_>>()? });
    Ok(())
}

/// The processors of a mask: the last digit is the first processor.
fn processors(mask: &str) -> Outcome<Vec<usize>> {
    const MOST_PROCESSORS: usize = 1024;
    if mask.len() > MOST_PROCESSORS {
        return Err(format!("\"worker_cpu_affinity\" supports up to {MOST_PROCESSORS} CPUs only"));
    }
    if let Some(other) = mask.chars().rev().find(|c| !matches!(c, ' ' | '0' | '1')) {
        return Err(format!("invalid character \"{other}\" in \"worker_cpu_affinity\""));
    }
    let digits = mask.bytes().rev().filter(|digit| *digit != b' ');
    Ok(digits.enumerate().filter(|(_, digit)| *digit == b'1').map(|(number, _)| number).collect())
}

/// `env name[=value];`
pub fn env(main: &mut MainSettings, call: &mut Call<'_>) -> Outcome {
    let (name, value) = match call.args[0].split_once('=') {
        Some((name, value)) => (name, Some(value.to_string())),
        None => (call.args[0].as_str(), None),
    };
    main.env.push((name.to_string(), value));
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn masks_by_thread() {
        let masks = ["0001", "10 10"].map(|mask| processors(mask).unwrap());
        assert_eq!(masks, [vec![0], vec![1, 3]]);
        let given = Affinity { auto: false, masks: masks.to_vec() };
        assert_eq!([0, 1, 2].map(|thread| given.of_thread(thread, 4)), [vec![0], vec![1, 3], vec![1, 3]]);
        let auto = Affinity { auto: true, masks: Vec::new() };
        assert_eq!([0, 1, 2].map(|thread| auto.of_thread(thread, 2)), [[0], [1], [0]]);
        let within = Affinity { auto: true, masks: vec![vec![1, 3, 9]] };
        assert_eq!([0, 1, 2].map(|thread| within.of_thread(thread, 4)), [[1], [3], [1]]);
        assert!(processors("2").is_err());
    }
}
