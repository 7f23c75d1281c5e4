-- Speaks with our milter door as a mail server does, by OpenDKIM's miltertest.
--
-- miltertest -D delayed=SOCKET -D staged=SOCKET -s dialogues.lua: where servers listen (unix:PATH, inet:PORT@HOST) of
-- which the first judges with delay_reject, the second without. The lists are those of milter_clients.rs. What differs
-- from what is expected is an error, and the exit code is 1.

-- What is offered: version, steps and actions. mt.negotiate() takes them in this order, whatever its manual says.
local OFFERS = {
    { 2, 0x7f, 0x3f },
    { 3, 0x17f, 0x3f },
    { 4, 0x37f, 0x3f },
    { 6, 0x1fffff, 0x1ff },
    { 6, 0, 0x1ff },
}

-- What we want of whatever is offered, and what we never want: there is a list at DATA, and each reply may be a refusal.
local WANTED = { SMFIP_NOHDRS, SMFIP_NOEOH, SMFIP_NOBODY, SMFIP_NOUNKNOWN, SMFIP_RCPT_REJ, SMFIP_HDR_LEADSPC }
local UNWANTED = {
    SMFIP_NOCONNECT, SMFIP_NOHELO, SMFIP_NOMAIL, SMFIP_NORCPT, SMFIP_NODATA, SMFIP_SKIP, SMFIP_NR_CONN, SMFIP_NR_HELO,
    SMFIP_NR_MAIL, SMFIP_NR_RCPT, SMFIP_NR_DATA, SMFIP_NR_UNKN, SMFIP_NR_HDR, SMFIP_NR_EOH, SMFIP_NR_BODY,
}
local ACTIONS = { SMFIF_ADDHDRS, SMFIF_ADDRCPT, SMFIF_DELRCPT, SMFIF_QUARANTINE }
local NO_ACTIONS = { SMFIF_CHGBODY, SMFIF_CHGHDRS, SMFIF_CHGFROM, SMFIF_ADDRCPT_PAR }

local CONTINUE, CODE, DISCARD = SMFIR_CONTINUE, SMFIR_REPLYCODE, SMFIR_DISCARD

-- Lines of a dialogue: the function, its arguments, the reply, the step that makes it needless if it was agreed on.
local function macro(...) return { mt.macro, { ... } } end
local function conninfo(host, ip, reply) return { mt.conninfo, { host, ip }, reply or CONTINUE } end
local function helo(name, reply) return { mt.helo, { name }, reply or CONTINUE } end
local function mail(address, reply) return { mt.mailfrom, { address, "SIZE=100" }, reply or CONTINUE } end
local function rcpt(user, reply) return { mt.rcptto, { "<" .. user .. "@example.com>" }, reply or CONTINUE } end
local function data(reply) return { mt.data, {}, reply or CONTINUE } end
-- The end of a message, and each change of it that must have been asked for.
local function eom(reply, ...) return { mt.eom, {}, reply, checks = { ... } } end
local ABORT = { mt.abort, {} }

local TOLD = macro(SMFIC_CONNECT, "v", "Postfix 3.7.11", "{client_name}", "mail.example", "{client_ptr}", "mail.example",
    "{client_resolve}", "OK")

local EVERY_STAGE = {
    TOLD,
    conninfo("mail.example", "192.0.2.9"),
    helo("helo.example"),
    { mt.unknown, { "WIZ" }, CONTINUE, SMFIP_NOUNKNOWN },
    mail("<a@example.org>"),
    rcpt("user"),
    rcpt("trap", CODE),
    rcpt("later", CODE),
    macro(SMFIC_RCPT, "{rcpt_mailer}", "error"),
    rcpt("trap"),
    rcpt("hold"),
    rcpt("mark"),
    rcpt("copy"),
    data(),
    { mt.header, { "Subject", " hello" }, CONTINUE, SMFIP_NOHDRS },
    { mt.eoh, {}, CONTINUE, SMFIP_NOEOH },
    { mt.bodystring, { "hello\r\n" }, CONTINUE, SMFIP_NOBODY },
    { mt.bodyrandom, { 100000 }, CONTINUE, SMFIP_NOBODY },
    eom(CONTINUE, { MT_HDRINSERT, "X-Mark" }, { MT_RCPTADD, '<"copied"@example.com>' }, { MT_QUARANTINE }),
    -- Nothing of one message counts for the next.
    mail("<a@example.org>"), rcpt("hold"), ABORT,
    mail("<data@example.org>"), rcpt("user"), data(CODE), ABORT,
    mail("<end@example.org>"), rcpt("user"), data(), eom(CODE),
    mail("<>"), rcpt("gone"), rcpt("trap"), data(), eom(DISCARD),
    mail("<>"), rcpt("move"), data(),
    eom(CONTINUE, { MT_RCPTDELETE, '<"move"@example.com>' }, { MT_RCPTADD, '<"moved"@example.com>' }),
    mail("<>"), rcpt("user"), data(), eom(CONTINUE),
}

-- What may come of a session; each has a connection of its own.
local DELAYED = {
    { conninfo("bad.example", "198.51.100.66"), helo("helo.example"), mail("<a@example.org>"), rcpt("user", CODE) },
    { conninfo("mail.example", "192.0.2.9"), helo("bad.example"), mail("<a@example.org>"), rcpt("user", CODE) },
    { conninfo("mail.example", "2001:db8::9"), helo("helo.example"), mail("<bad@example.org>"), rcpt("user", CODE) },
    { conninfo("unknown", "unspec"), helo("helo.example"), mail("<a@example.org>"), rcpt("user", CODE) },
}
local STAGED = {
    { conninfo("bad.example", "198.51.100.66", CODE) },
    { conninfo("mail.example", "192.0.2.9"), helo("bad.example", CODE), helo("helo.example"),
        mail("<bad@example.org>", CODE), mail("<a@example.org>"), rcpt("trap", CODE), rcpt("user"), eom(CONTINUE) },
}

local unpack = table.unpack

local function expect(what, expected, came)
    if expected ~= came then
        error(what .. ": expected " .. tostring(expected) .. ", came " .. tostring(came))
    end
end

local function open(socket, offer)
    local conn = mt.connect(socket)
    assert(conn, "no connection to " .. socket)
    expect("mt.negotiate", nil, mt.negotiate(conn, unpack(offer)))
    return conn
end

-- Says each line and compares the reply.
local function speak(conn, dialogue)
    for number, line in ipairs(dialogue) do
        local call, arguments, reply, needless = unpack(line, 1, 4)
        if not (needless and mt.test_option(conn, needless)) then
            local what = "line " .. number .. " (" .. table.concat(arguments, " ") .. ")"
            expect(what, nil, call(conn, unpack(arguments)))
            if reply then expect(what, string.char(reply), string.char(mt.getreply(conn))) end
            for _, check in ipairs(line.checks or {}) do
                expect(what .. ", change " .. check[1], true, mt.eom_check(conn, unpack(check)))
            end
        end
    end
    expect("mt.disconnect", nil, mt.disconnect(conn))
end

-- The terms that follow from each offer, and all stages under them.
local function negotiate(offer)
    local conn = open(delayed, offer)
    local function agreed(test, wanted, flags, offered)
        for _, flag in ipairs(flags) do
            expect(string.format("version %d, flag %x", offer[1], flag), wanted and offered & flag ~= 0, test(conn, flag))
        end
    end
    agreed(mt.test_option, true, WANTED, offer[2])
    agreed(mt.test_option, false, UNWANTED, offer[2])
    agreed(mt.test_action, true, ACTIONS, offer[3])
    agreed(mt.test_action, false, NO_ACTIONS, offer[3])
    -- From version 6 on it may name macros.
    expect("SMFIF_SETSYMLIST", offer[1] == 6, mt.test_action(conn, SMFIF_SETSYMLIST))
    speak(conn, EVERY_STAGE)
end

-- By itself miltertest keeps an error to itself.
local ok, why = pcall(function()
    for _, offer in ipairs(OFFERS) do negotiate(offer) end
    for _, dialogue in ipairs(DELAYED) do speak(open(delayed, OFFERS[4]), dialogue) end
    for _, dialogue in ipairs(STAGED) do speak(open(staged, OFFERS[4]), dialogue) end
end)
if not ok then
    io.stderr:write(why, "\n")
    os.exit(1)
end
