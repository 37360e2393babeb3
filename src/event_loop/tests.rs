#![allow(clippy::unwrap_used)]

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::thread;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{Notify, oneshot};

use super::testing::{self, connection, pair, yield_now};
use super::time::{Elapsed, now, sleep, sleep_until, timeout};
use super::*;
use crate::stream::Socket;
use std::future::poll_fn;

/// A descriptor that has no input, and what gives it some.
fn silent() -> (Source, UnixStream) {
    let (near, far) = UnixStream::pair().unwrap();
    near.set_nonblocking(true).unwrap();
    (Source::new(near.into()).unwrap(), far)
}

async fn readable(source: &Source) {
    poll_fn(|cx| source.poll_ready(cx, Interest::Readable)).await;
}

#[test]
fn another_thread_wakes_a_task() {
    testing::run(|| async {
        for _ in 0..1000 {
            let (sender, receiver) = oneshot::channel();
            let other = thread::spawn(move || sender.send(7).unwrap());
            assert_eq!(receiver.await, Ok(7));
            other.join().unwrap();
        }
    });
}

#[test]
fn what_takes_long_is_done_aside() {
    testing::run(|| async {
        let here = thread::current().id();
        assert_ne!(run_aside(|| thread::current().id()).await.unwrap(), here);
        assert!(run_aside(|| panic!("a mistake")).await.is_err());
    });
}

#[test]
fn a_panic_ends_its_task_alone() {
    testing::run(|| async {
        let other = testing::spawn(async {
            yield_now().await;
            yield_now().await;
            7
        });
        assert!(testing::spawn(async { panic!("a mistake") }).await.is_err());
        assert_eq!(other.await.unwrap(), 7);
    });
}

#[test]
fn times_come_in_order_and_a_task_may_wait_for_several() {
    testing::run_paused(|| async {
        let begin = now();
        let seconds = |count| Duration::from_secs(count);
        let late = testing::spawn(async move { sleep(seconds(86400)).await });
        let both = tokio::join!(timeout(seconds(30), sleep(seconds(20))), timeout(seconds(10), sleep(seconds(20))));
        assert_eq!(both, (Ok(()), Err(Elapsed)));
        assert_eq!(now() - begin, seconds(20));
        sleep_until(begin).await;
        assert_eq!(now() - begin, seconds(20));
        late.await.unwrap();
        assert_eq!(now() - begin, seconds(86400));
        assert_eq!(timeout(Duration::MAX, async { 7 }).await, Ok(7));
    });
}

#[test]
fn the_kernel_is_not_asked_to_wait_for_longer_than_it_can() {
    testing::run(|| async {
        for days in [2, 25, 365_000] {
            let task = spawn(async move { sleep(Duration::from_secs(days * 86400)).await });
            yield_now().await;
            with(|local| assert_eq!(local.patience(), Some(LONGEST)));
            task.stop();
        }
        spawn(async { sleep(Duration::MAX).await });
        yield_now().await;
        with(|local| assert_eq!(local.patience(), Some(LONGEST)));
    });
}

#[test]
fn a_stopped_task_is_dropped_and_its_place_is_anothers() {
    testing::run(|| async {
        let guard = Rc::new(());
        let wakes = Rc::new(Notify::new());
        for _ in 0..100 {
            let (held, woken) = (guard.clone(), wakes.clone());
            let stopped = testing::spawn(async move {
                woken.notified().await;
                drop(held);
            });
            yield_now().await;
            // It is woken, and stopped before it hears of that.
            wakes.notify_waiters();
            stopped.abort();
            assert_eq!(Rc::strong_count(&guard), 1);
            assert!(stopped.await.is_err());
            assert_eq!(testing::spawn(async { 7 }).await.unwrap(), 7);
        }
        with(|local| assert!(local.tasks.borrow().places() < 5));
    });
}

#[test]
fn a_task_may_stop_itself() {
    testing::run(|| async {
        let own = Rc::new(Cell::new(None::<Task>));
        let guard = Rc::new(());
        let (task, held) = (own.clone(), guard.clone());
        own.set(Some(spawn(async move {
            task.take().unwrap().stop();
            std::future::pending::<()>().await;
            drop(held);
        })));
        while Rc::strong_count(&guard) > 1 {
            yield_now().await;
        }
    });
}

#[test]
fn tasks_that_are_left_at_the_end_are_dropped() {
    let (sender, receiver) = mpsc::channel::<()>();
    testing::run(|| async {
        let (source, _far) = silent();
        spawn(async move {
            readable(&source).await;
            drop(sender);
        });
        yield_now().await;
    });
    assert!(receiver.recv().is_err());
}

#[test]
fn input_that_came_before_anybody_waited_is_not_missed() {
    testing::run(|| async {
        let (source, mut far) = silent();
        far.write_all(b"a").unwrap();
        yield_now().await;
        readable(&source).await;
        source.unready(Interest::Readable);
        assert!(timeout(Duration::from_millis(20), readable(&source)).await.is_err());
        far.write_all(b"b").unwrap();
        readable(&source).await;
    });
}

#[test]
fn an_end_behind_a_short_read_is_not_missed() {
    testing::run(|| async {
        for _ in 0..100 {
            let (mut near, mut far) = connection().await;
            far.write_all(b"last words").await.unwrap();
            drop(far);
            let mut heard = Vec::new();
            let read = timeout(Duration::from_secs(10), near.read_to_end(&mut heard)).await;
            assert_eq!((read.unwrap().unwrap(), &heard[..]), (10, &b"last words"[..]));
        }
    });
}

#[test]
fn what_is_behind_urgent_data_is_not_missed() {
    testing::run(|| async {
        let (mut near, mut far) = connection().await;
        far.write_all(b"before").await.unwrap();
        rustix::net::send(&far, b"!", rustix::net::SendFlags::OOB).unwrap();
        far.write_all(b"behind").await.unwrap();
        let mut heard = [0; 12];
        timeout(Duration::from_secs(10), near.read_exact(&mut heard)).await.unwrap().unwrap();
        assert_eq!(&heard, b"beforebehind");
    });
}

#[test]
fn whoever_always_has_something_to_do_lets_others_have_their_turn() {
    testing::run(|| async {
        let (source, mut far) = silent();
        far.write_all(b"a").unwrap();
        // It never reads, so it always finds the input.
        let busy = spawn(async move {
            loop {
                readable(&source).await;
            }
        });
        for _ in 0..10 {
            yield_now().await;
            sleep(Duration::from_millis(1)).await;
        }
        busy.stop();
    });
}

#[test]
fn room_is_waited_for_and_found() {
    testing::run(|| async {
        let (mut near, mut far) = pair();
        let message = vec![7; 8 << 20];
        let expected = message.clone();
        let writer = testing::spawn(async move { near.write_all(&message).await.map(|()| drop(near)) });
        let mut heard = Vec::new();
        far.read_to_end(&mut heard).await.unwrap();
        assert!(heard == expected);
        writer.await.unwrap().unwrap();
    });
}

#[test]
fn the_place_of_a_closed_source_is_anothers_wherever_it_was_closed() {
    testing::run(|| async {
        for round in 0..100 {
            let (source, far) = silent();
            if round % 2 == 0 {
                thread::spawn(move || drop(source)).join().unwrap();
                yield_now().await;
            }
            // An event for a source that is gone is nobody's.
            drop(far);
        }
        let (source, mut far) = silent();
        far.write_all(b"a").unwrap();
        readable(&source).await;
        with(|local| assert!(local.sources.borrow().places() < 5));
    });
}

#[test]
fn an_address_where_nobody_listens() {
    testing::run(|| async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = crate::addr::Address::Ip(listener.local_addr().unwrap());
        drop(listener);
        let refused = Socket::connect(&address).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        let mut socket = Socket::connect_to_speaker(&address).unwrap();
        let refused = socket.read_u8().await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    });
}
