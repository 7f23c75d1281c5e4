//! `portcullis serve`: the doors, from the start to the graceful stop, through any number of reloads.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use doors::Gate;
use judge::{Mode, Refreshed};
use net::Workers;
use store::Store;
use store::journal::Journal;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::{Answer, Global};
use crate::config::{self, Config, Loaded};
use crate::control;
use crate::log::{self, Lines};
use crate::open::{self, Open, Opener, Place};
use crate::state;
use crate::watch::{self, Watch};

/// How long the last lines of the log may take to be written.
const LOG_GRACE: Duration = Duration::from_secs(2);

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// A configuration that is refused, and sockets that cannot be opened.
pub fn run(global: &Global) -> anyhow::Result<Answer> {
    let since = SystemTime::now();
    let loaded = config::load(global.config.as_deref())?;
    let settings = loaded.compile()?;
    let watch = Watch::over(settings.table_files(), since);
    let lines = log::start(&loaded.config.log)?;
    raise_descriptors();
    let directory = state::directory();
    let store = state::store(&loaded.config.store, &directory);
    let journal = state::journal(&loaded.config.journal, &directory);
    let workers = Arc::new(Workers::start(std::thread::available_parallelism().map_or(1, NonZero::get))?);
    // For what is no connection: signals, reloads, accepting.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let memory = Memory { store: store.clone(), journal: journal.clone() };
    let served = runtime.block_on(serve(global, loaded, (settings, watch), &lines, (workers, memory)));
    runtime.block_on(store.close());
    if let Some(journal) = journal {
        journal.close();
    }
    runtime.shutdown_background();
    lines.flush(LOG_GRACE);
    served.map(|()| Answer::Yes)
}

/// What outlives a stop.
struct Memory {
    store: Store,
    journal: Option<Arc<Journal>>,
}

/// Each connection and each question to the DNS takes a file descriptor, and many systems grant 1024 unasked.
fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!("the limit of open files stays at {:?}: {error}", limit.current);
    }
}

async fn serve(
    global: &Global,
    loaded: Loaded,
    settings: (judge::Settings, Watch),
    lines: &Lines,
    shared: (Arc<Workers>, Memory),
) -> anyhow::Result<()> {
    // From here on a signal waits for us rather than ending us.
    let mut signals = Signals::new()?;
    let mut server = Server::start(global, loaded, settings, lines, shared).await?;
    let mut looks = tokio::time::interval(watch::PERIOD);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            told = signals.next() => match told {
                Told::Stop => break,
                Told::Reload => server.reload().await,
            },
            _ = looks.tick() => server.refresh_tables().await,
        }
    }
    tracing::info!("stopping: a second signal cuts it short");
    tokio::select! {
        () = server.stop() => {}
        () = signals.stop() => tracing::warn!("stopped at once: connections were cut"),
    }
    Ok(())
}

/// What a signal asks for.
enum Told {
    Stop,
    Reload,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::Stop,
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.hangup.recv() => Told::Reload,
        }
    }

    async fn stop(&mut self) {
        while !matches!(self.next().await, Told::Stop) {}
    }
}

/// The doors that are open, and what they were opened by.
struct Server<'a> {
    global: &'a Global,
    loaded: Loaded,
    opener: Opener,
    open: Vec<Open>,
    /// How the command line reaches us, unless it could not be opened.
    control: Option<control::Server>,
    /// The files of the tables.
    watch: Watch,
}

impl<'a> Server<'a> {
    async fn start(
        global: &'a Global,
        loaded: Loaded,
        (settings, watch): (judge::Settings, Watch),
        lines: &Lines,
        (workers, Memory { store, journal }): (Arc<Workers>, Memory),
    ) -> anyhow::Result<Self> {
        let dns = global.dns(&loaded.config.dns)?;
        let recorder = lines.recorder(loaded.config.log.format);
        let gate = Arc::new(Gate::new(Arc::new(settings), dns, store.clone(), recorder, journal));
        tracing::info!("portcullis {} serves by {}", env!("CARGO_PKG_VERSION"), loaded.name());
        warn(&loaded, &gate.settings.load());
        let testing = std::env::var_os("PORTCULLIS_TESTING").is_some_and(|value| value == "1");
        let opener = Opener { gate, workers, testing };
        let mut server = Self { global, loaded, opener, open: Vec::new(), control: None, watch };
        let doors = &server.loaded.config.doors;
        let places: Vec<Place> = open::places(doors).collect();
        let none = "no door is open: name a socket in doors.policy.listen or doors.milter.listen";
        anyhow::ensure!(!places.is_empty(), none);
        server.open = server.opener.open(doors, places).await?;
        server.control = server.open_control(store).await;
        server.show_wiring();
        Ok(server)
    }

    /// Opens the control socket. Mail goes on without it.
    async fn open_control(&self, store: Store) -> Option<control::Server> {
        let opened = control::Server::open(&self.loaded.config.control, store, Arc::clone(&self.opener.workers)).await;
        opened.inspect_err(|error| tracing::error!("no command can reach this server: {error}")).ok()
    }

    /// Says how Postfix finds us, where nobody has configured that yet or somebody watches.
    fn show_wiring(&self) {
        use std::io::IsTerminal;
        if self.loaded.path.is_none() || std::io::stderr().is_terminal() {
            open::wiring(&self.open).iter().for_each(|line| tracing::info!("{line}"));
        }
    }

    /// Takes on tables whose files have changed. What is broken stays as it was.
    async fn refresh_tables(&mut self) {
        let (old, config) = (self.opener.gate.settings.load_full(), self.loaded.config.judge.clone());
        let mut watch = std::mem::take(&mut self.watch);
        let looked = tokio::task::spawn_blocking(move || {
            let changed = watch.changed();
            let refreshed = (!changed.is_empty()).then(|| old.refreshed(&config, &changed));
            (watch, refreshed)
        });
        let Ok((watch, refreshed)) = looked.await else { return };
        self.watch = watch;
        match refreshed {
            None => {}
            Some(Ok(Refreshed { settings, taken, refused })) => {
                self.opener.gate.settings.store(Arc::new(settings));
                taken.iter().for_each(|table| tracing::info!("took on {table}, which has changed"));
                refused.iter().for_each(|why| tracing::error!("the table stays as it was: {why}"));
            }
            Some(Err(mistakes)) => {
                let why = mistakes.iter().map(|mistake| &*mistake.message).collect::<Vec<_>>().join("; ");
                tracing::error!("tables have changed, but everything stays as it was: {why}");
            }
        }
    }

    /// Takes on the configuration as it stands now, or stays as it is where that cannot be.
    async fn reload(&mut self) {
        match self.take_on().await {
            Ok(()) => tracing::info!("reloaded {}", self.loaded.name()),
            Err(error) => tracing::error!("the reload is refused, and the old configuration stays:\n{error}"),
        }
    }

    async fn take_on(&mut self) -> anyhow::Result<()> {
        // A file that is gone must not turn into the built-in defaults.
        let path = self.loaded.path.clone().or_else(|| self.global.config.clone());
        let read = move || {
            let since = SystemTime::now();
            let loaded = config::load(path.as_deref())?;
            let settings = loaded.compile()?;
            let watch = Watch::over(settings.table_files(), since);
            Ok::<_, config::Refused>((settings, loaded, watch))
        };
        let (settings, loaded, watch) = tokio::task::spawn_blocking(read).await??;
        let new = &loaded.config;
        let is_open = |place: &Place| self.open.iter().any(|open| open.place == *place);
        let added: Vec<Place> = open::places(&new.doors).filter(|place| !is_open(place)).collect();
        let dns = (self.loaded.config.dns != new.dns).then(|| self.global.dns(&new.dns)).transpose()?;
        let added = self.opener.open(&new.doors, added).await?;
        // Nothing can fail from here on.
        warn(&loaded, &settings);
        self.opener.gate.settings.store(Arc::new(settings));
        self.watch = watch;
        if let Some(dns) = dns {
            self.opener.gate.dns.store(Arc::new(dns));
        }
        self.open.retain(|open| {
            let stays = open::places(&new.doors).any(|place| place == open.place);
            if !stays {
                tracing::info!("no longer listening on {}", open.place);
                open.stop.cancel();
            }
            stays
        });
        self.open.extend(added);
        for section in needing_restart(&self.loaded.config, &loaded.config) {
            tracing::warn!("what changed in [{section}] is taken on by a restart only");
        }
        if self.loaded.config.judge.mode == Mode::Shadow && new.judge.mode == Mode::Enforce {
            tracing::info!("no longer in shadow: what is decided is carried out");
        }
        self.loaded = loaded;
        Ok(())
    }

    /// Closes all doors, gives their connections the time that the configuration grants, and says what was done.
    async fn stop(self) {
        for open in &self.open {
            open.stop.cancel();
        }
        if let Some(control) = self.control {
            control.stop().await;
        }
        let mut cut = 0;
        for open in self.open {
            cut += open.served.await.unwrap_or(0);
        }
        let (decided, dns) = (&self.opener.gate.counters, self.opener.gate.dns.load());
        let (policy, milter) = (&decided.policy, &decided.milter);
        let asked = dns.counters();
        let faults = [&policy.panics, &policy.connections.panics, &milter.connections.panics, &decided.unkept]
            .map(|count| count.load(Relaxed));
        tracing::info!(
            requests = policy.requests.load(Relaxed),
            permit = decided.permit.load(Relaxed),
            defer = decided.defer.load(Relaxed),
            reject = decided.reject.load(Relaxed),
            hold = decided.hold.load(Relaxed),
            discard = decided.discard.load(Relaxed),
            shadow = decided.shadow.load(Relaxed),
            dns_queries = asked.queries.load(Relaxed),
            dns_cache_hits = asked.cache_hits.load(Relaxed),
            malformed = policy.malformed.load(Relaxed) + milter.malformed.load(Relaxed),
            faults = faults.iter().sum::<u64>(),
            milter_sessions = milter.connections.accepted.load(Relaxed),
            connections_cut = cut,
            "stopped"
        );
    }
}

/// Tells the log what `config check` would tell.
fn warn(loaded: &Loaded, settings: &judge::Settings) {
    for warning in loaded.refused(loaded.warnings(settings)).lines() {
        tracing::warn!("{warning}");
    }
}

/// The sections in which something changed that a reload leaves as it was.
fn needing_restart<'a>(old: &Config, new: &Config) -> impl Iterator<Item = &'a str> {
    let (policy, milter) = open::needs_restart(&old.doors, &new.doors);
    let changed = [
        ("doors.policy", policy),
        ("doors.milter", milter),
        ("store", old.store != new.store),
        ("journal", old.journal != new.journal),
        ("control", old.control != new.control),
        ("log", old.log != new.log),
    ];
    changed.into_iter().filter(|(_, changed)| *changed).map(|(section, _)| section)
}
