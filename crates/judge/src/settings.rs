//! The judge's settings, compiled from the configuration once and then only read.

use std::sync::Arc;

use facts::{NetworkList, Stage};
use rustc_hash::FxHashSet;

use crate::config::{self, Config, Mode, Postfix, Texts};
use crate::destination::Class;
use crate::greylist::Greylisting;
use crate::maps::Maps;
use crate::networks;
use crate::own_addresses::OwnAddresses;
use crate::parse::{Parser, Tables};
use crate::place::Mistake;
use crate::restriction::{Restriction, Subject};
use crate::shadow::{RELAY, relay_control_end};

/// A list of restrictions.
#[derive(Debug)]
pub struct List {
    /// Its key in `[restrictions]`.
    pub name: &'static str,
    /// The stage that it belongs to.
    pub stage: Stage,
    /// In the order of the administrator.
    pub restrictions: Vec<Arc<Restriction>>,
    /// How many of them there are up to the last word of relay control.
    pub(crate) relay_control_end: usize,
}

/// Everything that the judge goes by.
#[derive(Debug)]
pub struct Settings {
    pub(crate) fingerprint: u32,
    pub(crate) mode: Mode,
    pub(crate) hostname: String,
    pub(crate) mynetworks: NetworkList,
    pub(crate) delay_reject: bool,
    pub(crate) helo_required: bool,
    pub(crate) postfix: Postfix,
    /// Whether the name of a domain means its subdomains too: in access tables, in `relay_domains`.
    pub(crate) access_parents_match: bool,
    relay_parents_match: bool,
    /// In the order of evaluation.
    pub(crate) lists: Vec<List>,
    pub(crate) tables: Tables,
    domains: FxHashSet<String>,
    relay_domains: FxHashSet<String>,
    warnings: Vec<Mistake>,
    pub(crate) own_addresses: OwnAddresses,
    pub(crate) permit_mx_backup_networks: NetworkList,
    pub(crate) maps: Maps,
    pub(crate) greylist: Greylisting,
}

impl Settings {
    /// Compiles a configuration: parses restrictions, loads tables.
    ///
    /// # Errors
    /// Every mistake found, at least one.
    pub fn compile(config: &Config) -> Result<Self, Vec<Mistake>> {
        Self::compile_with(config, Tables::new())
    }

    pub(crate) fn compile_with(config: &Config, known: Tables) -> Result<Self, Vec<Mistake>> {
        let mut parser = Parser::new(config, known);
        let lists = lists(config, &mut parser);
        parser.rbl_reply(&config.postfix.default_rbl_reply);
        let maps = Maps::open(&config.postfix, &mut parser);
        let greylist = Greylisting::compile(&config.greylist, &mut parser);
        let Parser { mut mistakes, mut warnings, tables, .. } = parser;
        // Of lists that could not be read nobody knows what they would let pass.
        if mistakes.is_empty() {
            mistakes.extend(crate::relay::mistakes(config, &lists));
        }
        warnings.extend(crate::shadow::warning(config.mode));
        warnings.extend(crate::relay::warning(config, &lists));
        warnings.extend(networks::warnings(config));
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let lower = |domains: &[String]| domains.iter().map(|domain| domain.to_lowercase()).collect();
        Ok(Self {
            fingerprint: 0,
            mode: config.mode,
            hostname: config.hostname.to_lowercase(),
            mynetworks: networks::list(&config.mynetworks),
            delay_reject: config.restrictions.delay_reject,
            helo_required: config.restrictions.helo_required,
            access_parents_match: config.postfix.parents_match("smtpd_access_maps"),
            relay_parents_match: config.postfix.parents_match("relay_domains"),
            postfix: config.postfix.clone(),
            lists,
            tables,
            domains: lower(&config.domains),
            relay_domains: lower(&config.relay_domains),
            warnings,
            own_addresses: OwnAddresses::of(&config.postfix),
            permit_mx_backup_networks: networks::list(&config.postfix.permit_mx_backup_networks),
            maps,
            greylist,
        })
    }

    /// The same, told from other settings in the journal by this number.
    #[must_use]
    pub fn with_fingerprint(self, fingerprint: u32) -> Self {
        Self { fingerprint, ..self }
    }

    /// What tells them from other settings; 0 where nobody said.
    #[must_use]
    pub fn fingerprint(&self) -> u32 {
        self.fingerprint
    }

    /// What is questionable but no mistake.
    #[must_use]
    pub fn warnings(&self) -> &[Mistake] {
        &self.warnings
    }

    /// Whether a list may have something to say when the session has come to `stage`: with `delay_reject` none has
    /// before RCPT.
    #[must_use]
    pub fn speaks_at(&self, stage: Stage) -> bool {
        let has_list = self.lists.iter().any(|list| list.stage == stage && !list.restrictions.is_empty());
        stage == Stage::Rcpt || has_list && (stage > Stage::Rcpt || !self.delay_reject)
    }

    /// The lists, in the order of evaluation.
    #[must_use]
    pub fn lists(&self) -> &[List] {
        &self.lists
    }

    /// Whether recipients of strangers are held to our own domains by these settings.
    #[must_use]
    pub fn controls_relay(&self) -> bool {
        crate::relay::controls(&self.lists, self.mode)
    }

    /// Whether we know which domains are ours; where we do not, relay control is somebody else's.
    pub(crate) fn knows_domains(&self) -> bool {
        !self.domains.is_empty() || !self.relay_domains.is_empty()
    }

    /// Whose a domain is. A relayed domain takes its subdomains with it, as in Postfix.
    pub(crate) fn class_of(&self, domain: &str) -> Class {
        if self.domains.contains(domain) {
            return Class::Final;
        }
        if self.relay_domains.is_empty() {
            return Class::Foreign;
        }
        let mut parents = std::iter::successors(Some(domain), |name| name.split_once('.').map(|(_, parent)| parent));
        let is_relayed = if self.relay_parents_match {
            parents.any(|name| self.relay_domains.contains(name))
        } else {
            // Then a subdomain is meant by its parent's name with a dot before it.
            let dotted = domain.match_indices('.').map(|(dot, _)| &domain[dot..]);
            std::iter::once(domain).chain(dotted).any(|name| self.relay_domains.contains(name))
        };
        if is_relayed { Class::Relay } else { Class::Foreign }
    }
}

fn lists(config: &Config, parser: &mut Parser<'_>) -> Vec<List> {
    let lists = &config.restrictions;
    let has_domains = !config.domains.is_empty() || !config.relay_domains.is_empty();
    // Behind Postfix an unset list leaves relay control to Postfix.
    let relay_default = if has_domains { config::relay_default() } else { Texts::default() };
    let relay = lists.relay.as_ref().unwrap_or(&relay_default);
    let mut list = |name, stage, subject, texts: &Texts| {
        let restrictions = parser.list(texts, subject).into_iter().map(Arc::new).collect();
        let mut list = List { name, stage, restrictions, relay_control_end: 0 };
        list.relay_control_end = relay_control_end(&list);
        list
    };
    let mut lists = vec![
        list("client", Stage::Connect, Some(Subject::Client), &lists.client),
        list("helo", Stage::Helo, Some(Subject::Helo), &lists.helo),
        list("sender", Stage::Mail, Some(Subject::Sender), &lists.sender),
        list(RELAY, Stage::Rcpt, Some(Subject::Recipient), relay),
        list("recipient", Stage::Rcpt, Some(Subject::Recipient), &lists.recipient),
        list("data", Stage::Data, None, &lists.data),
        list("end_of_data", Stage::EndOfData, None, &lists.end_of_data),
        list("etrn", Stage::Etrn, Some(Subject::Etrn), &lists.etrn),
    ];
    if !config.restrictions.relay_before_recipient {
        lists.swap(3, 4);
    }
    lists
}
