//! What a client is told that a DNS list lists (Postfix: default_rbl_reply, rbl_reply_maps).

use std::borrow::Cow;

use dns::lists::DnsList;
use facts::{ClientName, EmailAddress, Evidence, Reply};

use crate::case::Case;
use crate::macros::expand;
use crate::reply::{TEMPFAIL_CODE, enhanced_for, reply};
use crate::restriction::Subject;
use crate::tables::action::split_enhanced;
use crate::tables::lookup::Row;

/// What a DNS list has said, for `$rbl_…` in a reply.
pub(super) struct Listed<'a> {
    pub(super) list: &'a DnsList,
    /// The address or the domain that is listed.
    pub(super) what: &'a str,
    pub(super) subject: Subject,
    /// The list's own text, empty where it has none.
    pub(super) text: &'a str,
}

impl Listed<'_> {
    /// The reply, and a remark where a template of the administrator's could not be used.
    ///
    /// # Errors
    /// A table of replies cannot say anything.
    pub(super) fn reply(&self, case: &Case) -> Result<(Reply, Option<Evidence>), String> {
        let own = self.own_template(case)?.map(|row| expand(&row.value, false, &|name| self.value(case, name)));
        let remark = match &own {
            Some(Err(error)) => Some(Evidence::Note(format!("rbl_reply_maps: {error}").into())),
            _ => None,
        };
        let default =
            || expand(case.settings.postfix.default_rbl_reply.get_ref(), false, &|name| self.value(case, name));
        // The default was checked when it was read.
        let text = own.and_then(Result::ok).or_else(|| default().ok()).unwrap_or_default();
        Ok((self.reply_of(&text), remark))
    }

    fn own_template<'c>(&self, case: &'c Case) -> Result<Option<Row<'c>>, String> {
        let lookup = case.settings.maps.rbl_reply_maps.lookup();
        lookup.find(&self.list.text).or_else(|| lookup.find(&self.list.zone)).transpose()
    }

    fn reply_of(&self, text: &str) -> Reply {
        let Some((code, text)) = code_and_text(text) else {
            return reply(TEMPFAIL_CODE, "4.7.1", "Service unavailable");
        };
        let (enhanced, text) = split_enhanced(text).unwrap_or(("4.7.1", text));
        let text = if text.is_empty() { "Service unavailable" } else { text };
        reply(code, enhanced_for(enhanced, self.subject.reply_class()), text)
    }

    fn value<'s>(&'s self, case: &'s Case, name: &str) -> Option<Cow<'static, str>> {
        let value: Cow<'s, str> = match name {
            "rbl_code" => case.settings.postfix.maps_rbl_reject_code.0.to_string().into(),
            "rbl_class" => self.subject.reply_class().into(),
            "rbl_domain" => (&*self.list.zone).into(),
            "rbl_what" => self.what.into(),
            "rbl_reason" | "rbl_txt" => self.text.into(),
            _ => session_value(case, name)?,
        };
        // Postfix: smtpd_expansion_filter.
        let visible = |octet: u8| if octet.is_ascii_graphic() || octet == b' ' { char::from(octet) } else { '_' };
        Some(value.bytes().map(visible).collect::<String>().into())
    }
}

/// Whether a template could be a reply, whatever its names stand for.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check(template: &str) -> Result<(), String> {
    let text = expand(template, false, &|name| match name {
        "rbl_code" => Some("554".into()),
        _ => NAMES.contains(&name).then(|| "x".into()),
    })?;
    match code_and_text(&text) {
        Some(_) => Ok(()),
        None => Err("a reply begins with a code from 400 to 599 and a space: write $rbl_code".into()),
    }
}

/// What a template may ask for.
const NAMES: [&str; 18] = [
    "rbl_class",
    "rbl_domain",
    "rbl_what",
    "rbl_reason",
    "rbl_txt",
    "server_name",
    "client",
    "client_address",
    "client_name",
    "client_port",
    "reverse_client_name",
    "helo_name",
    "sender",
    "sender_name",
    "sender_domain",
    "recipient",
    "recipient_name",
    "recipient_domain",
];

fn code_and_text(text: &str) -> Option<(u16, &str)> {
    let (code, text) = text.split_once(' ')?;
    let code = code.parse().ok().filter(|number| (400..=599).contains(number) && code.len() == 3)?;
    Some((code, text))
}

/// What is known of the session under a name that Postfix gives it.
fn session_value<'a>(case: &'a Case, name: &str) -> Option<Cow<'a, str>> {
    let client = case.client();
    let client_name = |name: &'a Option<ClientName>| name.as_ref().map_or("unknown", ClientName::as_str);
    Some(match name {
        "server_name" => (&*case.settings.hostname).into(),
        "client" => format!("{}[{}]", client_name(&client.name), client.address).into(),
        "client_address" => client.address.to_string().into(),
        "client_name" => client_name(&client.name).into(),
        "client_port" => client.port.to_string().into(),
        "reverse_client_name" => client_name(&client.reverse_name).into(),
        "helo_name" => case.helo_name().unwrap_or_default().into(),
        _ => {
            let (whose, part) = name.split_once('_').unwrap_or((name, ""));
            let (address, is_known) = match whose {
                "sender" => (case.sender(), case.facts.envelope.is_some()),
                "recipient" => (case.recipient(), false),
                _ => return None,
            };
            address_value(address, is_known, part)?.into()
        }
    })
}

/// An address or a part of it; the null sender is `<>`, whole and in parts, if it is known that it is that.
fn address_value<'a>(address: Option<&'a EmailAddress>, is_known: bool, part: &str) -> Option<&'a str> {
    let Some(address) = address else { return Some(if is_known { "<>" } else { "" }) };
    match part {
        "" => Some(address.as_str()),
        "name" => Some(address.local_part()),
        "domain" => Some(address.domain().unwrap_or_default()),
        _ => None,
    }
}
