//! Writes the log, and other output for people, through a bounded queue in memory and a separate thread, so that
//! nothing else waits for a slow reader.
//!
//! A stopped terminal, an unread pipe or a full disk blocks only that thread. Lines that find the queue full, or that
//! can't be written, are dropped and counted; the number is logged when writing works again.

use std::{
    io::{self, IsTerminal as _, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::Duration,
};

use clap::{Args, ValueEnum};
use prometheus_client::metrics::counter::Counter;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{filter::Targets, fmt::MakeWriter, layer::SubscriberExt as _, util::SubscriberInitExt as _};
use zeroize::Zeroize as _;

/// The most bytes in the queue. The thread that writes may hold as many again.
const MOST_WAITING: usize = 1024 * 1024;
/// How long lines are gathered between two writes: under load one write carries many, and waking the thread costs more
/// than a line does.
const GATHER: Duration = Duration::from_millis(5);
/// How long to wait before trying again when a terminal that another program has set to non-blocking accepts no more
/// for the moment.
const PAUSE: Duration = Duration::from_millis(20);
/// How long the end of the process waits for remaining output to be written.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is logged, and how.
#[derive(Debug, Args)]
pub struct Options {
    /// How log lines are written, to standard error.
    #[arg(long, env = "TOKENWARD_LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    log_format: Format,
    /// What is logged: off, error, warn, info or debug.
    #[arg(long, env = "TOKENWARD_LOG", default_value = "info", value_name = "LEVEL")]
    log: LevelFilter,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

impl Options {
    /// Starts logging to standard error.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(&self) -> io::Result<Outlet> {
        let outlet = Outlet::to(io::stderr())?;
        // Libraries log only warnings and errors: their other messages may contain a request's head, and with it a
        // secret.
        let filter = Targets::new()
            .with_default(self.log.min(LevelFilter::WARN))
            .with_target(env!("CARGO_CRATE_NAME"), self.log);
        let layer = tracing_subscriber::fmt::layer().with_writer(outlet.clone());
        let registry = tracing_subscriber::registry().with(filter);
        match self.log_format {
            Format::Text => registry.with(layer.with_ansi(io::stderr().is_terminal()).with_target(false)).init(),
            Format::Json => {
                registry.with(layer.json().flatten_event(true).with_current_span(false).with_span_list(false)).init();
            }
        }
        // The default hook writes to standard error directly, and so waits for its reader.
        std::panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(tracing::field::display);
            tracing::error!(place, said = panic.payload_as_str(), "a defect: a thread panicked");
        }));
        Ok(outlet)
    }
}

/// A queue of lines, which a separate thread writes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Outlet(Arc<Parts>);

#[derive(Debug, Default)]
struct Parts {
    queue: Mutex<Queue>,
    /// Notified when something was queued, or everything was written.
    changed: Condvar,
    dropped: Counter,
}

#[derive(Debug, Default)]
struct Queue {
    /// Whole lines.
    waiting: Vec<u8>,
    /// Whether the thread sleeps until it is notified that something was queued.
    asleep: bool,
    /// Whether the thread holds lines that aren't written yet.
    writing: bool,
}

impl Outlet {
    /// Starts the thread that writes to `writer`.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn to(writer: impl Write + Send + 'static) -> io::Result<Self> {
        let outlet = Self(Arc::default());
        let worker = outlet.clone();
        thread::Builder::new().name("outlet".to_owned()).spawn(move || worker.work(writer))?;
        Ok(outlet)
    }

    /// Queues whole lines, or drops them if the queue is full. Never waits for the reader.
    pub fn put(&self, lines: &[u8]) {
        let mut queue = self.queue();
        if queue.waiting.len().saturating_add(lines.len()) > MOST_WAITING {
            self.0.dropped.inc_by(count(lines));
            return;
        }
        // The lines of a first start may show a secret, so a queue that grows leaves no copy behind.
        let room = queue.waiting.capacity().saturating_sub(queue.waiting.len());
        if room < lines.len() {
            let mut grown = Vec::with_capacity(queue.waiting.len().saturating_add(lines.len()).next_power_of_two());
            grown.extend_from_slice(&queue.waiting);
            queue.waiting.zeroize();
            queue.waiting = grown;
        }
        queue.waiting.extend_from_slice(lines);
        if std::mem::take(&mut queue.asleep) {
            self.0.changed.notify_all();
        }
    }

    /// How many lines were dropped.
    #[must_use]
    pub fn dropped(&self) -> Counter {
        self.0.dropped.clone()
    }

    /// Waits until everything is written or dropped, for a limited time. Returns whether it is.
    #[must_use]
    pub fn flush(&self) -> bool {
        let is_busy = |queue: &mut Queue| queue.writing || !queue.waiting.is_empty();
        let waited = self.0.changed.wait_timeout_while(self.queue(), PATIENCE, is_busy);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what is queued. Never returns.
    fn work(&self, mut writer: impl Write) {
        // The rest of a line that was partly written is written first, so that no line is torn.
        let (mut rest, mut works, mut said): (Vec<u8>, bool, u64) = (vec![], true, 0);
        loop {
            let is_begun = !rest.is_empty();
            let mut taken = self.take();
            if rest.is_empty() {
                rest = taken;
            } else {
                rest.append(&mut taken);
                taken.zeroize();
            }
            // Before and after writing: if the queue is full, there is no room for this line until the queue was taken.
            self.say(works, &mut said);
            let (left, all) = write(&mut writer, &rest, is_begun, &self.0.dropped);
            rest.zeroize();
            (rest, works) = (left, all);
            self.say(works, &mut said);
            self.queue().writing = false;
            self.0.changed.notify_all();
            thread::sleep(GATHER);
        }
    }

    /// Logs how many lines were dropped since that was last logged, if writing works and there is room for it.
    fn say(&self, works: bool, said: &mut u64) {
        let dropped = self.0.dropped.get();
        if works && dropped > *said && self.queue().waiting.len() < MOST_WAITING / 2 {
            tracing::error!(
                lines = dropped - *said,
                "lines were dropped: nobody read them in time, or they couldn't be written"
            );
            *said = dropped;
        }
    }

    /// Takes what is queued; if nothing is, waits for it.
    fn take(&self) -> Vec<u8> {
        let mut queue = self.queue();
        queue.asleep = queue.waiting.is_empty();
        let waited = self.0.changed.wait_while(queue, |queue| queue.waiting.is_empty());
        let mut queue = waited.unwrap_or_else(PoisonError::into_inner);
        queue.writing = true;
        std::mem::take(&mut queue.waiting)
    }
}

/// Writes lines, of which the first may be the rest of a partly written one. If writing fails, counts the lines that
/// weren't begun as dropped, and returns the rest of one that was partly written. Also returns whether everything could
/// be written.
fn write(writer: &mut impl Write, lines: &[u8], is_begun: bool, dropped: &Counter) -> (Vec<u8>, bool) {
    let (mut written, mut left) = (0, lines);
    while !left.is_empty() {
        match writer.write(left) {
            Ok(0) => break,
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(PAUSE),
            Err(_) => break,
        }
        left = lines.get(written..).unwrap_or_default();
    }
    let is_torn = written.checked_sub(1).map_or(is_begun, |last| lines.get(last) != Some(&b'\n'));
    let end = if is_torn { left.iter().position(|byte| *byte == b'\n').map_or(left.len(), |at| at + 1) } else { 0 };
    let (rest, lost) = left.split_at_checked(end).unwrap_or_default();
    dropped.inc_by(count(lost));
    let _ = writer.flush();
    (rest.to_vec(), left.is_empty())
}

fn count(lines: &[u8]) -> u64 {
    lines.split_inclusive(|byte| *byte == b'\n').count().try_into().unwrap_or(u64::MAX)
}

/// The subscriber writes each line in one call.
impl Write for Outlet {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Outlet {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Writes the process's final message to standard error. A reader who doesn't read delays the end of the process only
/// for a limited time.
pub fn last_words(sentence: String) {
    let (said, done) = mpsc::channel();
    thread::spawn(move || {
        let _ = writeln!(io::stderr(), "{sentence}");
        let _ = said.send(());
    });
    let _ = done.recv_timeout(PATIENCE);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes at a time, and so many in all; then fails, until there is room again.
    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<(Vec<u8>, usize)>>);

    impl Disk {
        fn set_room(&self, room: usize) {
            self.0.lock().unwrap().1 = room;
        }

        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().0.clone()).unwrap()
        }
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut disk = self.0.lock().unwrap();
            let room = disk.1.saturating_sub(disk.0.len()).min(bytes.len()).min(7);
            if room == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            disk.0.extend_from_slice(&bytes[..room]);
            Ok(room)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_tears_no_line() {
        let disk = Disk::default();
        disk.set_room(25);
        let outlet = Outlet::to(disk.clone()).unwrap();
        outlet.put(b"the first line\nthe second line\nthe third line\n");
        assert!(outlet.flush());
        assert_eq!((disk.text().as_str(), outlet.dropped().get()), ("the first line\nthe second", 1));
        outlet.put(b"the fourth line\n");
        assert!(outlet.flush());
        assert_eq!(outlet.dropped().get(), 2);
        disk.set_room(1_000);
        outlet.put(b"the fifth line\n");
        assert!(outlet.flush());
        assert_eq!(
            (disk.text().as_str(), outlet.dropped().get()),
            ("the first line\nthe second line\nthe fifth line\n", 2)
        );
    }

    /// Takes nothing until it is let go.
    struct Stuck(mpsc::Receiver<()>, Disk);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            self.1.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn whoever_does_not_read_costs_bounded_memory_and_keeps_nobody() {
        let disk = Disk::default();
        disk.set_room(usize::MAX);
        let (go, stop) = mpsc::channel();
        let outlet = Outlet::to(Stuck(stop, disk.clone())).unwrap();
        let line = [&b"x".repeat(999)[..], b"\n"].concat();
        let begun = std::time::Instant::now();
        for _ in 0..10_000 {
            outlet.put(&line);
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        assert!(outlet.queue().waiting.len() <= MOST_WAITING);
        let dropped = outlet.dropped().get();
        assert!(dropped >= 10_000 - 2 * 1_049, "{dropped}");
        assert!(!outlet.flush());
        // Everything that is read is whole, and with what was dropped it is everything.
        drop(go);
        while !outlet.flush() {}
        let text = disk.text();
        assert_eq!(text.lines().count() as u64 + dropped, 10_000);
        assert!(text.lines().all(|line| line.len() == 999));
    }
}
