//! The bits by which both sides say at the start what they can do, under the names that Sendmail gave them.

/// The filter may add and insert headers.
pub const SMFIF_ADDHDRS: u32 = 1;
/// The filter may add recipients.
pub const SMFIF_ADDRCPT: u32 = 1 << 2;
/// The filter may delete recipients.
pub const SMFIF_DELRCPT: u32 = 1 << 3;
/// The filter may change and delete headers.
pub const SMFIF_CHGHDRS: u32 = 1 << 4;
/// The filter may have a message held.
pub const SMFIF_QUARANTINE: u32 = 1 << 5;
/// The filter may name the macros that it wants.
pub const SMFIF_SETSYMLIST: u32 = 1 << 8;

/// Do not tell who connects.
pub const SMFIP_NOCONNECT: u32 = 1;
/// Do not tell HELO.
pub const SMFIP_NOHELO: u32 = 1 << 1;
/// Do not tell MAIL.
pub const SMFIP_NOMAIL: u32 = 1 << 2;
/// Do not tell RCPT.
pub const SMFIP_NORCPT: u32 = 1 << 3;
/// Do not send the body.
pub const SMFIP_NOBODY: u32 = 1 << 4;
/// Do not send the headers.
pub const SMFIP_NOHDRS: u32 = 1 << 5;
/// Do not tell the end of the headers.
pub const SMFIP_NOEOH: u32 = 1 << 6;
/// Headers get no reply. The only one of its kind that Postfix offers in version 2 (`no_header_reply`).
pub const SMFIP_NR_HDR: u32 = 1 << 7;
/// Do not tell commands that the MTA does not know.
pub const SMFIP_NOUNKNOWN: u32 = 1 << 8;
/// Do not tell DATA.
pub const SMFIP_NODATA: u32 = 1 << 9;
/// The MTA knows [`Reply::Skip`](super::Reply::Skip).
pub const SMFIP_SKIP: u32 = 1 << 10;
/// Tell the recipients too that the MTA itself refuses.
pub const SMFIP_RCPT_REJ: u32 = 1 << 11;
/// The connection gets no reply.
pub const SMFIP_NR_CONN: u32 = 1 << 12;
/// HELO gets no reply.
pub const SMFIP_NR_HELO: u32 = 1 << 13;
/// MAIL gets no reply.
pub const SMFIP_NR_MAIL: u32 = 1 << 14;
/// RCPT gets no reply.
pub const SMFIP_NR_RCPT: u32 = 1 << 15;
/// DATA gets no reply.
pub const SMFIP_NR_DATA: u32 = 1 << 16;
/// Unknown commands get no reply.
pub const SMFIP_NR_UNKN: u32 = 1 << 17;
/// The end of the headers gets no reply.
pub const SMFIP_NR_EOH: u32 = 1 << 18;
/// Chunks of the body get no reply.
pub const SMFIP_NR_BODY: u32 = 1 << 19;
/// Values of headers keep the space after the colon, in both directions.
pub const SMFIP_HDR_LEADSPC: u32 = 1 << 20;
