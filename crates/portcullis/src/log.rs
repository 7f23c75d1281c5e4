//! The log: lines to standard error, written by a thread of its own, so that a slow reader never holds up the mail.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use doors::record::{Format, Recorder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

/// Bytes that may wait for the reader of the log; lines beyond them are dropped and counted.
const WAITING_MAX: usize = 4 << 20;

/// How long a line may wait for others to be written with it: a write for each would cost more than the decision.
const LINGER: Duration = Duration::from_millis(10);

/// The crates of the house. What other crates say is heard from `warn` on.
const OURS: [&str; 8] = ["portcullis", "doors", "judge", "net", "store", "dns", "wire", "facts"];

/// The section `[log]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How a line looks: for people (coloured on a terminal), or a JSON object on each.
    pub format: Format,
    /// From what weight on something is told. Decisions are always told.
    pub level: Weight,
}

/// The weight of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// What stops the service.
    Error,
    /// What needs a look.
    Warn,
    /// What happens.
    #[default]
    Info,
    /// What it rests on.
    Debug,
    /// Everything.
    Trace,
}

impl From<Weight> for LevelFilter {
    fn from(weight: Weight) -> Self {
        match weight {
            Weight::Error => Self::ERROR,
            Weight::Warn => Self::WARN,
            Weight::Info => Self::INFO,
            Weight::Debug => Self::DEBUG,
            Weight::Trace => Self::TRACE,
        }
    }
}

/// Starts the log on standard error, for the whole program; panics are logged as well. To be called once.
pub fn start(config: &Config) -> io::Result<Lines> {
    let lines = Lines::to(io::stderr())?;
    let level = LevelFilter::from(config.level);
    let filter = Targets::new().with_default(level.min(LevelFilter::WARN)).with_targets(OURS.map(|name| (name, level)));
    Registry::default().with(layer(config.format, &lines).with_filter(filter)).init();
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "panic: {}", panic.payload_as_str().unwrap_or("no message"));
    }));
    Ok(lines)
}

fn layer(format: Format, lines: &Lines) -> Box<dyn Layer<Registry> + Send + Sync> {
    let layer = tracing_subscriber::fmt::layer().with_writer(lines.clone());
    if format == Format::Json {
        return layer.json().flatten_event(true).boxed();
    }
    let coloured = anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never;
    let layer = layer.with_ansi(coloured).with_target(false);
    if is_stamped_by_reader() { layer.without_time().boxed() } else { layer.boxed() }
}

/// Whether the lines go to the journal of systemd, which stamps each itself.
fn is_stamped_by_reader() -> bool {
    std::env::var_os("JOURNAL_STREAM").is_some()
}

/// Where lines go. Clones lead to the same place; handing a line over never waits for its reader.
#[derive(Clone)]
pub struct Lines(Arc<Shared>);

struct Shared {
    waiting: Mutex<Waiting>,
    /// There is something to write.
    more: Condvar,
    /// Everything is written.
    idle: Condvar,
}

#[derive(Default)]
struct Waiting {
    text: Vec<u8>,
    /// Lines for which there was no room since the last batch.
    dropped: u64,
    /// A batch is being written.
    writing: bool,
    /// Somebody waits for everything to be written.
    hurried: bool,
}

impl Lines {
    /// Lines that a new thread writes to `out`.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn to(out: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared { waiting: Mutex::default(), more: Condvar::new(), idle: Condvar::new() });
        let lines = Self(Arc::clone(&shared));
        thread::Builder::new().name("log".into()).spawn(move || write_out(&shared, out))?;
        Ok(lines)
    }

    /// Hands over `line`, which ends with a newline, or drops it where too much is waiting.
    pub fn push(&self, line: &[u8]) {
        let mut waiting = self.0.lock();
        if waiting.text.len() + line.len() > WAITING_MAX {
            waiting.dropped += 1;
            return;
        }
        // The writer sleeps only where there is nothing to write.
        let is_first = waiting.text.is_empty();
        waiting.text.extend_from_slice(line);
        drop(waiting);
        if is_first {
            self.0.more.notify_one();
        }
    }

    /// What writes a line for each decision, stamped like all others.
    #[must_use]
    pub fn recorder(&self, format: Format) -> Recorder {
        let lines = self.clone();
        // JSON lines hold their time.
        let stamped = format == Format::Human && !is_stamped_by_reader();
        Recorder { format, stamped, lines: Arc::new(move |line: &str| lines.push(line.as_bytes())) }
    }

    /// Waits until all that was handed over is written, but no longer than `at_most`.
    pub fn flush(&self, at_most: Duration) {
        let busy = |waiting: &mut Waiting| waiting.writing || !waiting.text.is_empty();
        let mut waiting = self.0.lock();
        waiting.hurried = true;
        self.0.more.notify_one();
        let _ = self.0.idle.wait_timeout_while(waiting, at_most, busy);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing under the lock can leave half a change behind.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts what is waiting into the empty `batch`, once there is something; says how many lines were dropped.
    fn next_batch(&self, batch: &mut Vec<u8>) -> u64 {
        let mut waiting = self.lock();
        waiting.writing = false;
        while waiting.text.is_empty() {
            self.idle.notify_all();
            waiting = self.more.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        let alone = |waiting: &mut Waiting| !waiting.hurried && waiting.text.len() < WAITING_MAX / 4;
        let lingered = self.more.wait_timeout_while(waiting, LINGER, alone);
        (waiting, _) = lingered.unwrap_or_else(PoisonError::into_inner);
        waiting.writing = true;
        std::mem::swap(&mut waiting.text, batch);
        std::mem::take(&mut waiting.dropped)
    }
}

fn write_out(shared: &Shared, mut out: impl Write) {
    let mut batch = Vec::new();
    loop {
        let dropped = shared.next_batch(&mut batch);
        // Where the reader of the log has gone, there is nobody left to tell.
        let _ = out.write_all(&batch).and_then(|()| out.flush());
        batch.clear();
        if dropped > 0 {
            tracing::warn!(dropped, "log lines were dropped: their reader was too slow");
        }
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// The subscriber writes each event with one call, so a buffer is a line.
impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Receiver, SyncSender};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// A reader that says what it was given, and takes the next batch only when it is told to.
    struct Reader {
        taken: SyncSender<Vec<u8>>,
        go_on: Receiver<()>,
    }

    impl Write for Reader {
        fn write(&mut self, batch: &[u8]) -> io::Result<usize> {
            self.taken.send(batch.to_vec()).map_err(io::Error::other)?;
            self.go_on.recv().map_err(io::Error::other)?;
            Ok(batch.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_slow_reader_costs_lines_but_no_waiting_and_no_memory() {
        let (taken, batches) = mpsc::sync_channel(1 << 10);
        let (go, go_on) = mpsc::sync_channel(1 << 10);
        let lines = Lines::to(Reader { taken, go_on }).unwrap();
        lines.push(b"first\n");
        assert_eq!(batches.recv_timeout(PATIENCE).unwrap(), b"first\n");

        let line = [b'x'; 1 << 16];
        let fitting = WAITING_MAX / line.len();
        for _ in 0..fitting + 3 {
            lines.push(&line);
        }
        assert_eq!(lines.0.lock().dropped, 3);
        go.send(()).unwrap();
        assert_eq!(batches.recv_timeout(PATIENCE).unwrap().len(), fitting * line.len());
        go.send(()).unwrap();
        lines.flush(PATIENCE);
        assert_eq!(lines.0.lock().dropped, 0);
    }

    #[test]
    fn flushing_waits_for_what_was_handed_over_but_not_for_ever() {
        let (taken, batches) = mpsc::sync_channel(1 << 10);
        let (go, go_on) = mpsc::sync_channel(1 << 10);
        let lines = Lines::to(Reader { taken, go_on }).unwrap();
        lines.push(b"stuck\n");
        lines.flush(Duration::ZERO);
        assert!(lines.0.lock().writing || !lines.0.lock().text.is_empty());
        go.send(()).unwrap();
        lines.flush(PATIENCE);
        assert_eq!(batches.recv_timeout(PATIENCE).unwrap(), b"stuck\n");
    }

    #[test]
    fn a_reader_that_is_gone_stops_nothing() {
        let (taken, batches) = mpsc::sync_channel(1 << 10);
        let (_go, go_on) = mpsc::sync_channel(1 << 10);
        let lines = Lines::to(Reader { taken, go_on }).unwrap();
        drop(batches);
        lines.push(b"unheard\n");
        lines.flush(PATIENCE);
        assert!(lines.0.lock().text.is_empty());
    }
}
