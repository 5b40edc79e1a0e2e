//! The server's background tasks: writing when users were last seen, finishing deletions, deleting old events, and
//! reading the files of TLS again.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use crate::{
    service::{Service, event::Cutoff},
    tls::Tls,
};

/// How often the times when users were last seen are written from memory to the database: a crash loses at most this
/// much.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// How often to look for deletions that another server, or one that crashed, has left unfinished.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How often old events are deleted.
const PRUNE_EVERY: Duration = Duration::from_hours(24);
/// How soon that is tried again after a failure.
const PRUNE_AGAIN: Duration = Duration::from_mins(10);
/// How long the end of the process waits for the tasks.
const GRACE: Duration = Duration::from_secs(2);

/// Which events are deleted because of their age.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// How long events are kept.
    pub kept: Duration,
    /// Whether the clock is trusted even if it has jumped.
    pub prune_all: bool,
}

/// The tasks of a server.
#[derive(Debug)]
pub struct Background {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Background {
    /// Starts the tasks. Without a retention all events are kept; with TLS, its files are read again when they change.
    #[must_use]
    pub fn start(service: &Service, retention: Option<Retention>, tls: Option<Arc<Tls>>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(write_activity(service.clone(), stopped.clone()));
        tasks.spawn(until_stopped(stopped.clone(), finish_deletions(service.clone())));
        if let Some(tls) = tls {
            tasks.spawn(until_stopped(stopped.clone(), async move { tls.watch().await }));
        }
        if let Some(retention) = retention {
            tasks.spawn(until_stopped(stopped, forget_old_events(service.clone(), retention)));
        }
        Self { stop, tasks }
    }

    /// Ends the tasks, within a limited time: the times when users were last seen are written, and the other tasks stop
    /// where they are.
    pub async fn drain(mut self) {
        self.stop.send_replace(true);
        if timeout(GRACE, async { while self.tasks.join_next().await.is_some() {} }).await.is_err() {
            tracing::warn!("when users were last seen couldn't be written in time");
        }
    }
}

/// Runs a task until the server stops. A transaction that is open then is dropped, and so rolled back.
async fn until_stopped(mut stopped: watch::Receiver<bool>, task: impl Future<Output = ()>) {
    tokio::select! {
        () = task => {}
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
}

async fn write_activity(service: Service, mut stopped: watch::Receiver<bool>) {
    let mut failing = false;
    loop {
        let last = timeout(WRITE_EVERY, stopped.wait_for(|stopped| *stopped)).await.is_ok();
        let written = service.write_activity().await;
        match &written {
            Err(error) if !failing => {
                tracing::warn!(?error, "when users were last seen can't be written; it is tried again");
            }
            Ok(()) if failing => tracing::info!("when users were last seen is written again"),
            _ => {}
        }
        failing = written.is_err();
        if last {
            return;
        }
    }
}

async fn finish_deletions(service: Service) {
    loop {
        if let Err(error) = service.finish_deletions().await {
            tracing::warn!(?error, "a deletion couldn't be finished; it is tried again");
        }
        let _ = timeout(LOOK_EVERY, service.deletion_begun()).await;
    }
}

async fn forget_old_events(service: Service, retention: Retention) {
    let mut runs = interval(PRUNE_EVERY);
    runs.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last: Option<Instant> = None;
    loop {
        let now = runs.tick().await;
        // Measured by the monotonic clock, which can't be set.
        let passed = last.map_or(Duration::ZERO, |last| now.duration_since(last));
        let cutoff = if retention.prune_all { Cutoff::AsTheClockSays } else { Cutoff::ADayMore { passed } };
        match service.prune_events(retention.kept, cutoff).await {
            Ok(events) => {
                last = Some(now);
                if events > 0 {
                    tracing::info!(events, "old events were forgotten");
                }
            }
            Err(error) => {
                tracing::warn!(?error, "old events couldn't be forgotten; it is tried again");
                runs.reset_after(PRUNE_AGAIN);
            }
        }
    }
}
