//! One thread, one clock: tasks are polled one at a time, and time leaps to the next sleeper when nobody can go on.
//!
//! Who of those that can go on is polled next is drawn from the seed, so that a seed is one interleaving of all there
//! are, and the same seed is the same one.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use async_trait::async_trait;
use domain::Timestamp;
use platform::clock::Clock;

use crate::chance::Chance;

type BoxedTask = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Whose task it is: a process that can die, or nobody's.
pub(crate) type Owner = Option<usize>;

struct Task {
    future: Option<BoxedTask>,
    owner: Owner,
    /// Polls until it dies where it stands.
    dies_after: Option<u32>,
    waker: Waker,
}

/// Wakes a task by putting it on the list, once.
struct Alarm {
    id: u64,
    listed: AtomicBool,
    ready: Arc<Mutex<Vec<Arc<Alarm>>>>,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        if !self.listed.swap(true, Ordering::Relaxed) {
            let ready = Arc::clone(&self.ready);
            locked(&ready).push(self);
        }
    }
}

#[derive(Default)]
struct State {
    now: Timestamp,
    tasks: BTreeMap<u64, Task>,
    last_task: u64,
    sleepers: BTreeMap<(Timestamp, u64), Waker>,
    last_sleeper: u64,
}

/// The clock and the tasks.
pub(crate) struct Stage {
    state: Mutex<State>,
    ready: Arc<Mutex<Vec<Arc<Alarm>>>>,
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage").field("now", &self.now()).finish_non_exhaustive()
    }
}

/// What the stage came to in one move.
pub(crate) enum Moved {
    Polled,
    /// A task died where it stood.
    Died,
    /// Everybody waits for what will never come.
    Nobody,
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stage {
    pub(crate) fn at(now: Timestamp) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { now, ..State::default() }), ready: Arc::default() })
    }

    pub(crate) fn now(&self) -> Timestamp {
        locked(&self.state).now
    }

    /// Begins a task; with `dies_after`, it is dropped instead of being polled so many times.
    pub(crate) fn spawn(
        &self,
        owner: Owner,
        dies_after: Option<u32>,
        future: impl Future<Output = ()> + Send + 'static,
    ) {
        let mut state = locked(&self.state);
        state.last_task += 1;
        let id = state.last_task;
        let alarm = Arc::new(Alarm { id, listed: AtomicBool::new(false), ready: Arc::clone(&self.ready) });
        let waker = Waker::from(Arc::clone(&alarm));
        state.tasks.insert(id, Task { future: Some(Box::pin(future)), owner, dies_after, waker });
        drop(state);
        alarm.wake();
    }

    /// Drops every task of `owner`; how many there were.
    pub(crate) fn kill(&self, owner: usize) -> usize {
        let mut state = locked(&self.state);
        let ids: Vec<u64> =
            state.tasks.iter().filter(|(_, task)| task.owner == Some(owner)).map(|(id, _)| *id).collect();
        let dead: Vec<Task> = ids.iter().filter_map(|id| state.tasks.remove(id)).collect();
        // What is dropped may itself look at the clock.
        drop(state);
        dead.len()
    }

    /// Drops every task: the end.
    pub(crate) fn clear(&self) {
        let mut state = locked(&self.state);
        let tasks = std::mem::take(&mut state.tasks);
        drop(state);
        drop(tasks);
    }

    /// Polls one task, or lets time pass.
    pub(crate) fn step(&self, chance: &Mutex<Chance>) -> Moved {
        let next = {
            let mut ready = locked(&self.ready);
            match ready.len() {
                0 => None,
                1 => ready.pop(),
                many => {
                    let at = locked(chance).index(many);
                    Some(ready.swap_remove(at))
                }
            }
        };
        match next {
            Some(alarm) => self.poll(&alarm),
            None => self.leap(),
        }
    }

    fn poll(&self, alarm: &Alarm) -> Moved {
        alarm.listed.store(false, Ordering::Relaxed);
        let mut state = locked(&self.state);
        let Some(task) = state.tasks.get_mut(&alarm.id) else { return Moved::Polled };
        if let Some(left) = task.dies_after.as_mut() {
            if *left == 0 {
                let dead = state.tasks.remove(&alarm.id);
                drop(state);
                drop(dead);
                return Moved::Died;
            }
            *left -= 1;
        }
        let Some(mut future) = task.future.take() else { return Moved::Polled };
        let waker = task.waker.clone();
        drop(state);
        let over = future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        let mut state = locked(&self.state);
        if over {
            let gone = state.tasks.remove(&alarm.id);
            drop(state);
            drop((gone, future));
        } else if let Some(task) = state.tasks.get_mut(&alarm.id) {
            task.future = Some(future);
        }
        Moved::Polled
    }

    fn leap(&self) -> Moved {
        let mut state = locked(&self.state);
        let Some(((at, _), waker)) = state.sleepers.pop_first() else { return Moved::Nobody };
        state.now = state.now.max(at);
        drop(state);
        waker.wake();
        Moved::Polled
    }

    /// Waits for `length` of time.
    pub(crate) fn sleep(self: &Arc<Self>, length: Duration) -> Sleep {
        let millis = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
        let until = Timestamp::from_millis(self.now().millis().saturating_add(millis));
        Sleep { stage: Arc::clone(self), until, place: None }
    }
}

/// See [`Stage::sleep`].
#[derive(Debug)]
pub(crate) struct Sleep {
    stage: Arc<Stage>,
    until: Timestamp,
    place: Option<(Timestamp, u64)>,
}

impl Future for Sleep {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let stage = Arc::clone(&self.stage);
        let mut state = locked(&stage.state);
        if state.now >= self.until {
            return Poll::Ready(());
        }
        let place = self.place.unwrap_or_else(|| {
            state.last_sleeper += 1;
            (self.until, state.last_sleeper)
        });
        self.place = Some(place);
        state.sleepers.insert(place, cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            drop(locked(&self.stage.state).sleepers.remove(&place));
        }
    }
}

/// The stage's time as one process knows it: clocks of two differ.
#[derive(Debug, Clone)]
pub(crate) struct StageClock {
    pub(crate) stage: Arc<Stage>,
    pub(crate) ahead_millis: i64,
}

#[async_trait]
impl Clock for StageClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.stage.now().millis() + self.ahead_millis)
    }

    async fn sleep(&self, length: Duration) {
        self.stage.sleep(length).await;
    }

    fn rate(&self) -> f64 {
        1.0
    }
}
