//! Which task is to be polled when: a heap in which each task has at most one entry.

use std::time::Instant;

/// How many children a node has: fewer levels than with two, and siblings lie side by side.
const CHILDREN: usize = 4;

/// The position of a task that has no entry.
const NOWHERE: u32 = u32::MAX;

/// The entries, the earliest first.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: Vec<(Instant, u32)>,
    /// Where in the heap a task's entry is.
    positions: Vec<u32>,
}

impl Timers {
    /// The earliest time.
    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.first().map(|(time, _)| *time)
    }

    /// The task is to be polled at this time at the latest.
    pub(super) fn not_later(&mut self, task: u32, time: Instant) {
        let index = task as usize;
        if index >= self.positions.len() {
            self.positions.resize(index + 1, NOWHERE);
        }
        let position = self.positions[index];
        if position == NOWHERE {
            self.heap.push((time, task));
            self.rise(self.heap.len() - 1);
        } else if self.heap[position as usize].0 > time {
            self.heap[position as usize].0 = time;
            self.rise(position as usize);
        }
    }

    /// Takes a task out whose time has come.
    pub(super) fn pop(&mut self, now: Instant) -> Option<u32> {
        let (time, task) = *self.heap.first()?;
        if time > now {
            return None;
        }
        self.remove(task);
        Some(task)
    }

    /// Takes the task's entry out, if it has one.
    pub(super) fn remove(&mut self, task: u32) {
        let Some(position) = self.positions.get_mut(task as usize) else { return };
        let position = std::mem::replace(position, NOWHERE);
        if position == NOWHERE {
            return;
        }
        let position = position as usize;
        self.heap.swap_remove(position);
        if position < self.heap.len() {
            self.rise(position);
            self.sink(self.positions[self.heap[position].1 as usize] as usize);
        }
    }

    /// Moves an entry up to its place.
    fn rise(&mut self, mut position: usize) {
        let entry = self.heap[position];
        while position > 0 {
            let parent = (position - 1) / CHILDREN;
            if self.heap[parent].0 <= entry.0 {
                break;
            }
            self.put(position, self.heap[parent]);
            position = parent;
        }
        self.put(position, entry);
    }

    /// Moves an entry down to its place.
    fn sink(&mut self, mut position: usize) {
        let entry = self.heap[position];
        loop {
            let first = position * CHILDREN + 1;
            let children = first..self.heap.len().min(first + CHILDREN);
            let Some(least) = children.min_by_key(|child| self.heap[*child].0) else { break };
            if self.heap[least].0 >= entry.0 {
                break;
            }
            self.put(position, self.heap[least]);
            position = least;
        }
        self.put(position, entry);
    }

    fn put(&mut self, position: usize, entry: (Instant, u32)) {
        self.heap[position] = entry;
        self.positions[entry.1 as usize] = u32::try_from(position).expect("there are no more entries than tasks");
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_earliest_comes_first_whatever_happened_before() {
        let begin = Instant::now();
        let (mut timers, mut model) = (Timers::default(), BTreeMap::<u32, Instant>::new());
        // Numbers as a linear congruential generator gives them.
        let mut state = 1u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for _ in 0..20_000 {
            let task = random(64) as u32;
            match random(4) {
                0 | 1 => {
                    let time = begin + Duration::from_millis(random(1000));
                    timers.not_later(task, time);
                    model.entry(task).and_modify(|known| *known = time.min(*known)).or_insert(time);
                }
                2 => {
                    timers.remove(task);
                    model.remove(&task);
                }
                _ => {
                    let now = begin + Duration::from_millis(random(200));
                    let popped = timers.pop(now);
                    let earliest = model.values().min().copied().filter(|earliest| *earliest <= now);
                    assert_eq!(popped.map(|task| model.remove(&task).unwrap()), earliest);
                }
            }
            assert_eq!(timers.next(), model.values().min().copied());
            assert_eq!(timers.heap.len(), model.len());
        }
    }
}
