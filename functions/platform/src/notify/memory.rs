//! A notifier that keeps what it is given, and fails when it is told to.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{Delivery, Notifier, NotifyError};

/// Of more deliveries the oldest are forgotten.
pub const DELIVERIES_KEPT_MAX: usize = 1000;

/// See the module.
#[derive(Debug, Default)]
pub struct MemoryNotifier {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    tried: VecDeque<Delivery>,
    taken: VecDeque<Delivery>,
    failures: VecDeque<NotifyError>,
}

impl MemoryNotifier {
    /// The next tries fail so, in this order.
    pub fn fail_next(&self, failures: impl IntoIterator<Item = NotifyError>) {
        self.state().failures.extend(failures);
    }

    /// What was tried, whatever came of it; oldest first.
    pub fn tried(&self) -> Vec<Delivery> {
        self.state().tried.iter().cloned().collect()
    }

    /// What a receiver has: what was taken, and what is in doubt; oldest first.
    pub fn taken(&self) -> Vec<Delivery> {
        self.state().taken.iter().cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that holds this lock can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Notifier for MemoryNotifier {
    async fn send(&self, delivery: &Delivery) -> Result<(), NotifyError> {
        let mut state = self.state();
        keep(&mut state.tried, delivery);
        let failure = state.failures.pop_front();
        if matches!(failure, None | Some(NotifyError::InDoubt { .. })) {
            keep(&mut state.taken, delivery);
        }
        failure.map_or(Ok(()), Err)
    }
}

fn keep(deliveries: &mut VecDeque<Delivery>, delivery: &Delivery) {
    if deliveries.len() >= DELIVERIES_KEPT_MAX {
        deliveries.pop_front();
    }
    deliveries.push_back(delivery.clone());
}

#[cfg(test)]
mod tests {
    use domain::Seconds;

    use super::*;
    use crate::contract::notify::{Answer, Arrived, NotifierHarness, delivery, notifier_contract};

    struct InMemory(MemoryNotifier);

    impl NotifierHarness for InMemory {
        fn notifier(&self) -> &dyn Notifier {
            &self.0
        }

        fn url(&self) -> String {
            "https://hooks.example.com/".into()
        }

        fn answer_next(&self, answer: Answer) {
            let why = format!("{answer:?}");
            self.0.fail_next([match answer {
                Answer::Status(status @ (429 | 500..=599), wait) => {
                    NotifyError::NotDelivered { why: status.to_string(), retry_after: wait.map(Seconds) }
                }
                Answer::Silence => NotifyError::InDoubt { why },
                Answer::Status(..) | Answer::Redirect | Answer::Endless(_) => NotifyError::Refused { why },
            }]);
        }

        fn arrived(&self) -> Vec<Arrived> {
            let arrived =
                |delivery: Delivery| Arrived { id: delivery.id, at: delivery.at.seconds(), body: delivery.body };
            self.0.tried().into_iter().map(arrived).collect()
        }
    }

    #[tokio::test]
    async fn it_keeps_the_contract() {
        notifier_contract(async || InMemory(MemoryNotifier::default())).await;
    }

    #[tokio::test]
    async fn what_is_in_doubt_may_have_been_taken_and_what_was_refused_was_not() {
        let notifier = MemoryNotifier::default();
        let why = || "said so".to_owned();
        notifier.fail_next([NotifyError::InDoubt { why: why() }, NotifyError::Refused { why: why() }]);
        for id in ["evt_1", "evt_2", "evt_3"] {
            let _ = notifier.send(&delivery("https://hooks.example.com/", id)).await;
        }
        let names = |list: Vec<Delivery>| list.into_iter().map(|delivery| delivery.id).collect::<Vec<_>>();
        assert_eq!(names(notifier.taken()), ["evt_1", "evt_3"]);
        assert_eq!(names(notifier.tried()), ["evt_1", "evt_2", "evt_3"]);
    }

    #[tokio::test]
    async fn the_oldest_is_forgotten() {
        let notifier = MemoryNotifier::default();
        for nth in 0..=DELIVERIES_KEPT_MAX {
            notifier.send(&delivery("https://hooks.example.com/", &format!("evt_{nth}"))).await.unwrap();
        }
        assert_eq!((notifier.taken().len(), notifier.taken()[0].id.as_str()), (DELIVERIES_KEPT_MAX, "evt_1"));
    }
}
