//! What the tests of all doors stand on: settings of a few lists, and a gate whose log they can read.

use std::sync::{Arc, Mutex};

use dns::{Dns, Zone};
use facts::Endpoint;
use net::{Listen, Listener};
use store::Store;

use crate::Gate;
use crate::record::{Format, Recorder};

/// Settings with nothing but these lists, in TOML.
pub(crate) fn settings(lists: &str) -> Arc<judge::Settings> {
    settings_in("enforce", lists)
}

/// The same in this mode.
pub(crate) fn settings_in(mode: &str, lists: &str) -> Arc<judge::Settings> {
    let empty = ["client", "helo", "sender", "recipient"].map(|list| format!("\n{list} = "));
    let empty = empty.iter().filter(|list| !format!("\n{lists}").contains(*list)).map(|list| format!("{list}[]"));
    let empty: String = empty.collect();
    let head = format!("mode = \"{mode}\"\nhostname = \"mx.example.com\"\n");
    let text = format!("{head}[restrictions]\nhelo_required = false{empty}\n{lists}\n");
    let config: judge::Config = toml::from_str(&text).unwrap();
    let Ok(settings) = judge::Settings::compile(&config) else { panic!("{text}") };
    Arc::new(settings)
}

/// A gate that decides by these settings, and the lines of its log.
pub(crate) fn gate(settings: Arc<judge::Settings>) -> (Arc<Gate>, Arc<Mutex<Vec<String>>>) {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&lines);
    let recorder = Recorder {
        format: Format::Human,
        stamped: false,
        lines: Arc::new(move |line: &str| sink.lock().unwrap().push(line.trim_end().to_owned())),
    };
    let dns = Dns::zone(Zone::parse("", "none").unwrap());
    (Arc::new(Gate::new(settings, dns, Store::in_memory(), recorder, None)), lines)
}

/// Listens on one endpoint, and returns where that is.
pub(crate) async fn listen(endpoint: Endpoint) -> (Vec<Listener>, Endpoint) {
    let listener = net::bind(&Listen { endpoint, mode: None, owner: None, group: None }).await.unwrap();
    let endpoint = listener.endpoints().remove(0);
    (vec![listener], endpoint)
}
