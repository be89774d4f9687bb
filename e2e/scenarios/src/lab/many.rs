//! Many runs on a few threads, each on a paused clock of its own.

use std::collections::VecDeque;
use std::sync::Mutex;

/// CI has two cores.
const THREADS: usize = 2;

/// Runs something on a paused clock of its own.
pub fn paused<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime can be made").block_on(work)
}

/// Works off a list on a few threads. A run that panics is told like any other.
pub fn each<T: Send, R: Send>(list: Vec<T>, work: impl Fn(&T) -> R + Sync) -> Vec<(T, Result<R, String>)> {
    let queue: Mutex<VecDeque<T>> = Mutex::new(list.into());
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let Some(item) = queue.lock().expect("no holder panics").pop_front() else { return };
                    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&item)));
                    let result = result.map_err(|panic| panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "a panic".into()));
                    done.lock().expect("no holder panics").push((item, result));
                }
            });
        }
    });
    done.into_inner().expect("no holder panics")
}
