//! The English catalogue.

mod problem;

use super::labels::{
    AccessPointText, AccountText, AskText, DesktopText, ErrorText, FrameText, HandOverText,
    LeavingText, MarkText, NoticeText, RefusalText, RefusedText, SecondFactorText, SignInText,
    Text, TimeText,
};
use super::sentence::{Sentence, sentence};
use super::{Dates, Language, Span, Touches, to_fall_silent};
use crate::domain::client::ClientKind;
use crate::domain::refusal::{Refusal, WayOut};
use crate::domain::time::{Millis, Timestamp};
use crate::domain::workstation::WorkstationUse;

/// Every text in English.
pub(super) const TEXT: Text = Text {
    frame: FRAME,
    marks: MarkText {
        passed: "Passed",
        refused: "Refused",
    },
    time: TimeText { span },
    sign_in: SIGN_IN,
    leaving: LEAVING,
    access_point: ACCESS_POINT,
    hand_over: HAND_OVER,
    refused: REFUSED,
    account: ACCOUNT,
    second_factor: SECOND_FACTOR,
    desktop: DESKTOP,
    error: ERROR,
    ask: ASK,
    notice: NOTICE,
    refusal: RefusalText {
        to_user,
        to_administrator,
        way_out,
        rules: RULES,
    },
    problem: problem::problem,
    client,
};

const FRAME: FrameText = FrameText {
    skip_to_content: "Skip to the content",
    navigation: "Pages",
    documents: "Documents",
    account: "My account",
    desktop: "Set Desktop up",
    console: "Console",
    language: "Language",
    signed_in_as: "Signed in as",
    sign_out: "Sign out",
    version: "Version",
    request: "Request",
    times_in_utc: "Times are in UTC.",
    times_in_your_zone: "Times are in your time zone.",
};

const SIGN_IN: SignInText = SignInText {
    title: "Sign in",
    user_name: "User name",
    password: "Password",
    caps_lock: "Caps Lock is on.",
    submit: "Sign in",
    this_gateway: "this AccessPoint",
    passwords_of: |sources| match sources {
        [one] => format!("Use your password of {one}."),
        several => format!(
            "Use your password of one of these; they are asked in this order: {}.",
            several.join(", ")
        ),
    },
    silent: |source| format!("{source} does not answer now. Whoever signs in there has to wait."),
    no_way_in: "No way to sign in is set up. Your administrator can set one up in the configuration.",
    passkey: "Sign in with a passkey",
};

const LEAVING: LeavingText = LeavingText {
    title: "You are signed out here",
    goes_on: |source| format!("{source} signs you out there in a moment."),
    if_nothing_happens: "If nothing happens,",
    by_hand: "sign out there by hand",
};

const ACCESS_POINT: AccessPointText = AccessPointText {
    my_license: "My licence",
    license_missing: "No licence is loaded on this server, so no document opens. Your administrator can load one.",
    cal_assigned,
    cal_quarantined,
    cal_assigned_there: "You hold a named CAL in QlikView Server.",
    left_to_server: "QlikView Server decides; it is not known beforehand how.",
    cal_assigned_by_opening: "No named CAL yet. Opening a document assigns you one.",
    cal_missing: "No named CAL. Your administrator can assign you one.",
    lease_live,
    lease_by_opening: "This workstation has no lease. Opening a document in Desktop or the plug-in leases for 30 days.",
    lease_waits,
    lease_not_possible: "Leasing is not possible from this server now. Opening a document says why.",
    lease_needs_cal: "This workstation has no lease, for that needs a named CAL.",
    workstations_used,
    counts_until: "counts until",
    this_workstation: "this workstation",
    documents: "Documents",
    search: "Search documents",
    search_submit: "Search",
    categories: "Categories",
    every_category: "All",
    changed: "changed",
    open: "Open",
    other_ways: "Other ways",
    add_favourite: "Add to favourites",
    remove_favourite: "Remove from favourites",
    document_count,
    in_desktop: "You are in QlikView Desktop: documents open here.",
    unlisted: "The QlikView web server cannot list your documents now, so this list may be out of date or empty. Nothing of yours has changed; look again in a minute.",
    no_documents: "There are no documents for you yet.",
    no_documents_next: "Ask your administrator to share documents with you. They appear here as soon as they are there.",
    nothing_found: "No document matches.",
    nothing_found_next: "Try fewer or other words, or look through all documents.",
    show_all: "Show all documents",
};

const HAND_OVER: HandOverText = HandOverText {
    title: "Opening",
    document: "Document",
    lease: "Licence lease",
    next: "Next",
    opens_now: "Opening now.",
    opens_in: |after| format!("Access is granted. It opens in {}.", span(after)),
    granted,
    renewed,
    expected,
    signed_key: "QlikView Server runs under a signed licence key. Whether it leases to this workstation is not known beforehand.",
    machine_names: "QlikView Server knows named CALs by machine. Whether it leases to this workstation is not known beforehand.",
    direct: "Where this workstation reaches QlikView Server itself (port 4747), Desktop can also",
    open_directly: "open it directly",
    look_at_outcome: "See in a new window whether QlikView Server has leased",
    outcome_title: "What became of the lease",
    nothing_opened: "Nothing was opened in Desktop or the plug-in from here yet.",
    still_watching: "QlikView Server is being asked. This page looks again by itself.",
    leased_to,
    not_leased: "QlikView Server has leased to none of your machines since the document was opened.",
    lease_not_needed: "Not applicable: only opens in Desktop or the plug-in lease.",
    lease_ended: "The lease that this workstation still had has ended with this open.",
    goes_on,
    relaunch_desktop: "To work with local documents, close Desktop and start it again. It is licensed then.",
    if_nothing_happens: "If nothing happens,",
    to_go_on_at_once: "To go on at once,",
    open_by_hand: "open the document by hand",
    back: "Back to the documents",
};

const REFUSED: RefusedText = RefusedText {
    title: "The document does not open",
    try_from: "Try again from",
    what_you_can_do: "What you can do",
    every_rule: "Every rule and how it was decided",
    rule: "Rule",
    state: "State",
    set_desktop_up: "Set Desktop up",
};

const ACCOUNT: AccountText = AccountText {
    title: "My account",
    cal: "Named CAL",
    leases: "Leases",
    no_leases: "No leases. Opening a document in Desktop or the plug-in makes one.",
    workstation: "Workstation",
    state: "State",
    granted: "Granted",
    renewed: "Renewed",
    ends: "Ends",
    action: "Action",
    lease_live: "Live",
    lease_expired: "Expired",
    lease_revoked: "Revoked",
    lease_released: "Released",
    release: "Release",
    release_effect: "Releasing ends a lease at once. Its workstation still counts among your two until it has been unused for the whole period.",
    workstations: "Workstations",
    no_workstations: "No workstations yet. Each one appears here after signing in on it.",
    name: "Name",
    rename: "Rename",
    last_leased,
    never_leased: "Never leased.",
    sessions: "Sessions",
    sessions_effect: "Ending a session signs you out there at once; ending all signs you out here too. Leases stay.",
    session: "Where",
    signed_in: "Signed in",
    last_seen: "Last seen",
    this_session: "This session",
    end_session: "End",
    end_every_session: "End all sessions",
    password: "Password",
    current_password: "Current password",
    new_password: "New password",
    new_password_hint: "8 to 128 characters, and not one of the common ones.",
    repeat_password: "New password again",
    change_password: "Change password",
    language: "Language",
    language_effect: "The gateway remembers the language on this workstation.",
};

const SECOND_FACTOR: SecondFactorText = SecondFactorText {
    title: "Second factors",
    summary: |count| match count {
        0 => "None yet.".to_owned(),
        1 => "One. You are asked for it when you sign in.".to_owned(),
        count => format!("{count}. You are asked for one of them when you sign in."),
    },
    manage: "Manage second factors",
    intro: "A second factor is asked for after your password, so that nobody gets in who has only learnt the password.",
    must_enrol: "Your account needs a second factor. Set one up here; then you go on to what you wanted.",
    required: "Your account needs a second factor: the last one cannot be removed.",
    yours: "Yours",
    totp: "Authenticator app",
    passkey: "Passkey",
    enrolled: "since",
    last_used: "last used",
    never_used: "never used",
    remove: "Remove",
    end_others: "End my other sessions too",
    add_totp: "Add an authenticator app",
    add_totp_hint: "An app on your phone shows a code of six digits that changes every 30 seconds.",
    totp_name: "My phone",
    add_passkey: "Add a passkey",
    add_passkey_hint: "Your device or a security key signs you in after it has checked your finger, face or PIN.",
    passkey_name: "My passkey",
    begin: "Set up",
    back: "Back to my account",
    cancel: "Cancel",
    scan: "Scan this picture with the app:",
    picture: "QR code with the key that stands below",
    or_key: "Or type this key into it:",
    open_app: "Open the app on this device",
    totp_code: "Code that the app shows now",
    finish: "Finish",
    passkey_explain: "Your browser asks for your finger, face or PIN, and keeps the passkey.",
    make_passkey: "Make the passkey",
    no_passkeys_here: "This needs a browser that has passkeys, with script switched on.",
    passkey_failed: "No passkey came from the browser, or one of a kind that is not used here. Try again.",
    codes: "Recovery codes",
    codes_intro: "Each of these codes lets you in once where your second factor is not at hand. They are shown this one time: print them or write them down, and keep them safe.",
    codes_kept: "I have kept them: go on",
    codes_left: |left| match left {
        1 => "One is left.".to_owned(),
        left => format!("{left} are left."),
    },
    new_codes: "Make new recovery codes",
    new_codes_effect: "The old ones no longer work then.",
    confirm_title: "Is it you?",
    confirm_intro: "You signed in a while ago. To change second factors, prove again who you are.",
    confirm_submit: "Confirm",
    confirm_sign_in: "Or sign in again",
    step_title: "Second step",
    step_passkey: "Use a passkey",
    step_submit: "Sign in",
    step_help: "If your second factor is gone, enter one of your recovery codes. Without any, your administrator can reset your second factors.",
    code: "Code of your app, or a recovery code",
    recovery_code: "Recovery code",
    added: "The second factor is added.",
    removed: "The second factor is removed.",
    renamed: "The second factor has its new name.",
    confirmed: "Thank you. You can change your second factors now.",
    not_confirmed: "That is not right. Nothing was changed.",
    name_invalid: "Nothing was changed: a name has 1 to 64 characters.",
    code_wrong: "The code is not right. Try the one that the app shows now, and look whether the clock of your phone is right.",
    took_too_long: "Nothing was changed: setting up took too long. Begin again.",
};

const DESKTOP: DesktopText = DesktopText {
    title: "Set Desktop up",
    intro: "QlikView Desktop opens this AccessPoint by itself once it knows the address. Do this once on each workstation.",
    open_settings: "In QlikView Desktop, open",
    settings_path: "Settings > User Preferences > Locations > QlikView Server AccessPoint (URL) > Modify",
    enter_address: "Enter this address:",
    copy: "Copy",
    copied: "Copied",
    confirm: "Confirm with OK, then Apply, then OK.",
    open_access_point: "Open",
    access_point_path: "Tools > Open QlikView AccessPoint",
    sign_in_and_open: "Sign in and open a document. The hand-over page says until when this workstation leases.",
    relaunch: "Close Desktop and start it again. It is licensed, and local documents open.",
    menus: "The names of the menus are those of the English Desktop.",
};

const ERROR: ErrorText = ErrorText {
    happened: "What happened",
    changed: "Was anything changed?",
    next: "What to do",
    tell_request: "Your administrator can find this request by its number:",
    to_access_point: "Go to the documents",
    to_sign_in: "Sign in",
    start_again: "Start again",
    as_other: "Sign in as somebody else",
};

const ASK: AskText = AskText {
    open_title: "Open the document?",
    open: |title| match title {
        Some(title) => format!(
            "A link on another page leads to {title}. Opening it may use your named CAL and lease on \
             this workstation."
        ),
        None => {
            "A link on another page leads to a document. Opening it may use your named CAL and \
                 lease on this workstation."
                .to_owned()
        }
    },
    open_button: "Open",
    sign_in_title: "Sign in as someone else?",
    sign_in: |wanted, present| {
        format!(
            "A link wants to sign you in as {wanted}. You are signed in here as {present}; that \
             session would end."
        )
    },
    sign_in_button: |wanted| format!("Sign in as {wanted}"),
    leave: "No, back to the documents",
};

const NOTICE: NoticeText = NoticeText {
    signed_out: "You are signed out.",
    signed_out_here: "You are signed out here. Where you signed in you may still be signed in: sign out there \
                      too if others use this computer.",
    session_ended: "Your session has ended. Sign in to go on.",
    lease_released: "The lease is released.",
    workstation_renamed: "The workstation has its new name.",
    workstation_name_invalid: "The name was not changed: a name has 1 to 64 characters.",
    one_session_ended: "The session is ended.",
    every_session_ended: "All your sessions are ended.",
    password_changed: "The password is changed.",
    password_wrong: "The password was not changed: the current password is not right.",
    passwords_differ: "The password was not changed: the two new ones are not the same.",
    password_too_short: "The password was not changed: the new one has fewer than 8 characters.",
    password_too_long: "The password was not changed: the new one has more than 128 characters.",
    password_too_common: "The password was not changed: the new one is among the most common ones.",
    language_set: "This workstation now speaks English with you.",
    web_ticket_invalid: "The ticket that was to sign you in does not count: it was used already, or is older than a minute. Sign in here, or start again where you came from.",
    web_ticket_alone: "A second factor is asked for here, and a ticket alone does not prove one. Sign in here; you are asked for it, and then come to what you wanted.",
};

const RULES: [&str; 25] = [
    "A licence is loaded",
    "The licence is not a Test edition",
    "The edition can lease",
    "The licence does not forbid leasing",
    "The licence does not limit the number of documents",
    "The licence counts now",
    "The licence holds named CALs",
    "Leasing is switched on",
    "The account is active and may see the document",
    "A named CAL is held, or the open assigns one",
    "A used CAL rests before another person gets it",
    "This way of opening leases",
    "A lease is valid for 30 days from its grant or renewal",
    "At most two workstations lease within the period",
    "A workstation above the two loses its lease",
    "Leases run on when the CAL is taken back",
    "What refuses a lease does not refuse the document",
    "No more CALs are taken than the licence holds",
    "Every open and every change is audited",
    "A lease can be released, revoked or lifted",
    "Opening again renews the same lease",
    "A disabled user keeps CAL and leases, but cannot renew",
    "A document that is gone does not touch leases",
    "A workstation is known by its cookie or its name",
    "A session lives on when its CAL is taken back",
];

fn client(kind: ClientKind) -> &'static str {
    match kind {
        ClientKind::Desktop => "In Desktop",
        ClientKind::Plugin => "In the plug-in",
        ClientKind::Ajax => "In the browser",
        ClientKind::Download => "Download",
    }
}

fn dates(now: Timestamp) -> Dates {
    Dates::new(Language::English, now)
}

fn span(span: Span) -> String {
    let (count, one, many) = match span {
        Span::Days(count) => (count, "day", "days"),
        Span::Hours(count) => (count, "hour", "hours"),
        Span::Minutes(count) => (count, "minute", "minutes"),
        Span::Seconds(count) => (count, "second", "seconds"),
    };
    let unit = if count == 1 { one } else { many };
    format!("{count} {unit}")
}

fn left(on: Dates, until: Timestamp) -> String {
    span(Span::left(until - on.now))
}

fn cal_assigned(on: Dates, since: Timestamp) -> Sentence {
    sentence!["Named CAL since ", on.long_day(since), "."]
}

fn cal_quarantined(on: Dates, since: Timestamp, until: Timestamp) -> Sentence {
    sentence![
        "Your named CAL was taken back on ",
        on.day(since),
        " and rests until ",
        on.earliest(until),
        ". Your administrator can give it back at once.",
    ]
}

fn lease_live(on: Dates, until: Timestamp) -> Sentence {
    let left = format!(" ({}).", left(on, until));
    sentence!["This workstation leases until ", on.long_day(until), left]
}

fn lease_waits(on: Dates, from: Timestamp) -> Sentence {
    sentence![
        "This workstation can lease from ",
        on.earliest(from),
        ". Two others of yours have leased within the period.",
    ]
}

fn workstations_used(on: Dates, used: usize, until: Option<Timestamp>) -> Sentence {
    let beginning = format!("{} of 2 workstations used", used.min(2));
    match until {
        Some(until) => sentence![beginning, " until ", on.earliest(until), "."],
        None => sentence![beginning, "."],
    }
}

fn last_leased(on: Dates, at: Timestamp) -> Sentence {
    sentence!["Last leased on ", on.minute(at), "."]
}

fn document_count(count: usize) -> String {
    match count {
        1 => "1 document".to_owned(),
        _ => format!("{count} documents"),
    }
}

fn granted(on: Dates, until: Timestamp) -> Sentence {
    let left = format!(" ({}).", left(on, until));
    sentence!["Granted until ", on.minute(until), left]
}

fn expected(on: Dates, until: Timestamp) -> Sentence {
    let left = format!(" ({}).", left(on, until));
    sentence![
        "QlikView Server is expected to lease until ",
        on.minute(until),
        left
    ]
}

fn leased_to(on: Dates, machine: &str, until: Timestamp) -> Sentence {
    let to = format!("QlikView Server has leased to {machine} until ");
    let left = format!(" ({}).", left(on, until));
    sentence![to, on.minute(until), left]
}

fn renewed(on: Dates, until: Timestamp) -> Sentence {
    let left = format!(" ({}).", left(on, until));
    sentence!["Renewed until ", on.minute(until), left]
}

fn goes_on(kind: ClientKind, after: Span) -> String {
    let what = match kind {
        ClientKind::Desktop => "The document opens in Desktop",
        ClientKind::Plugin => "The document opens in the plug-in",
        ClientKind::Ajax => "The document opens in this window",
        ClientKind::Download => "The download starts",
    };
    format!("{what} by itself in {}.", span(after))
}

/// What a refusal says to the person whom it meets.
fn to_user(refusal: &Refusal, touches: Touches, now: Timestamp) -> Sentence {
    let on = dates(now);
    match refusal {
        Refusal::WorkstationLimit {
            others,
            window,
            retry_at,
        } => {
            let mut said = Sentence::from(match touches {
                Touches::Open => "You cannot open this document. ",
                Touches::Lease => {
                    "The document is open, but this workstation cannot lease a licence now. "
                }
            });
            said.append(others_have_leased(on, others, *window, "of yours"));
            said.append(works_if_unused(on, others, *retry_at));
            said.push(format!(
                "Until then you can work online here. Your administrator can lift {} now.",
                names(to_fall_silent(others)),
            ));
            said
        }
        Refusal::LeasingSwitchedOff => sentence![
            match touches {
                Touches::Open =>
                    "You cannot open this document: leasing is switched off on this server. ",
                Touches::Lease => "The document is open. Leasing is switched off on this server. ",
            },
            "Your administrator can allow it under Licenses > Client Access Licenses > General.",
        ],
        Refusal::DocumentNotFound
        | Refusal::NoCalAssigned
        | Refusal::NoFreeCal { .. }
        | Refusal::CalQuarantined { .. }
        | Refusal::UserDisabled => {
            let mut said = Sentence::from(match touches {
                Touches::Open => "You cannot open this document: ",
                Touches::Lease => {
                    "The document is open, but this workstation cannot lease a licence now: "
                }
            });
            said.append(person_cause(on, refusal));
            said
        }
        _ => license_to_user(on, refusal, touches),
    }
}

fn person_cause(on: Dates, refusal: &Refusal) -> Sentence {
    match refusal {
        Refusal::NoCalAssigned => {
            "you have no named CAL. Your administrator can assign you one.".into()
        }
        Refusal::NoFreeCal {
            held,
            taken,
            retry_at,
        } => {
            let mut said = sentence![all_taken(*held, *taken)];
            if let Some(at) = retry_at {
                said.append(sentence![
                    " The next one may become free on ",
                    on.earliest(*at),
                    ".",
                ]);
            }
            said.push(" Ask your administrator for a CAL.");
            said
        }
        Refusal::CalQuarantined { since, until } => sentence![
            "your named CAL was taken back on ",
            on.day(*since),
            " and rests until ",
            on.earliest(*until),
            ". Your administrator can give it back at once.",
        ],
        Refusal::UserDisabled => {
            "your account is disabled. Your administrator can enable it again.".into()
        }
        _ => "it is not here, or it is not shared with you. Look for another one, or ask for \
              access to it."
            .into(),
    }
}

fn all_taken(held: u32, taken: u32) -> String {
    match held {
        0 => "the licence holds no named CAL now.".to_owned(),
        1 if taken <= 1 => "the only named CAL is taken.".to_owned(),
        _ if taken > held => {
            format!("{taken} named CALs are taken, and the licence holds {held}.")
        }
        _ => format!("all {held} named CALs are taken."),
    }
}

fn license_to_user(on: Dates, refusal: &Refusal, touches: Touches) -> Sentence {
    let (beginning, license) = match touches {
        Touches::Open => (
            "You cannot open this document: ",
            "the licence of this server",
        ),
        Touches::Lease => (
            "The document is open. Leasing is not possible from this server: ",
            "its licence",
        ),
    };
    let mut said = sentence![beginning];
    match refusal {
        Refusal::LicenseMissing => said.push("no licence is loaded on this server."),
        Refusal::LicenseTestEdition { .. } => {
            said.push(format!("{license} is a Test edition."));
        }
        Refusal::LicenseEditionCannotLease { edition, .. } => said.push(format!(
            "{license} is of the edition “{edition}”, which does not lease."
        )),
        Refusal::LicenseForbidsLease { .. } => said.push(format!("{license} forbids it.")),
        Refusal::LicenseLimitsDocuments { limit, .. } => said.push(format!(
            "{license} limits the number of documents ({limit})."
        )),
        Refusal::LicenseExpired {
            ended_at: Some(ended_at),
            ..
        } => {
            said.push(format!("{license} ended on "));
            said.push(on.minute(*ended_at));
            said.push(".");
        }
        Refusal::LicenseExpired { ended_at: None, .. } => {
            said.push(format!("{license} does not count now."));
        }
        _ => said.push(format!("{license} holds no named CALs.")),
    }
    if let Some(at) = refusal.retry_at() {
        said.append(sentence![" It is possible from ", on.earliest(at), "."]);
    }
    said.push(match refusal {
        Refusal::LicenseTestEdition { .. } => " Lease from your production server.",
        Refusal::LicenseMissing => " Your administrator can load one.",
        Refusal::LicenseHasNoNamedCals { .. } => {
            " Your administrator can load a licence with named CALs."
        }
        _ => " You can work online here. Your administrator can load another licence.",
    });
    said
}

/// `Two others of yours have leased within the last 7 days: A (…) and B (…). `
fn others_have_leased(
    on: Dates,
    others: &[WorkstationUse],
    window: Millis,
    whose: &str,
) -> Sentence {
    let count = match others.len() {
        2 => "Two".to_owned(),
        3 => "Three".to_owned(),
        count => count.to_string(),
    };
    let window = span(Span::set(window));
    let mut said = sentence![format!(
        "{count} others {whose} have leased within the last {window}: "
    )];
    for (position, other) in others.iter().enumerate() {
        said.push(separator(position, others.len()));
        said.push(format!("{} (", other.workstation.name));
        said.push(on.minute(other.last_leased_at));
        said.push(")");
    }
    said.push(". ");
    said
}

fn works_if_unused(on: Dates, others: &[WorkstationUse], retry_at: Timestamp) -> Sentence {
    let silent = to_fall_silent(others);
    let stay = if silent.len() == 1 { "stays" } else { "stay" };
    sentence![
        format!(
            "If {} {stay} unused, this one can lease from ",
            names(silent)
        ),
        on.earliest(retry_at),
        ". ",
    ]
}

fn names(workstations: &[WorkstationUse]) -> String {
    let mut names = String::new();
    for (position, each) in workstations.iter().enumerate() {
        names.push_str(separator(position, workstations.len()));
        names.push_str(&each.workstation.name);
    }
    names
}

fn separator(position: usize, count: usize) -> &'static str {
    match position {
        0 => "",
        _ if position + 1 == count => " and ",
        _ => ", ",
    }
}

/// What a refusal says to the administrator: the rule, the facts, and the command that helps.
fn to_administrator(refusal: &Refusal, now: Timestamp) -> Sentence {
    let on = dates(now);
    let mut said = match refusal {
        Refusal::LicenseMissing => {
            return "R0: no LEF is loaded, so every open is refused. Load one under License in the \
                    console, or with “accesspoint license load FILE”."
                .into();
        }
        Refusal::LeasingSwitchedOff => {
            return "R7: “Allow license lease” is off, so no lease is granted; documents open. \
                    Switch it on under Licenses > Client Access Licenses > General, or with \
                    “accesspoint settings set allow-license-lease true”."
                .into();
        }
        Refusal::DocumentNotFound => {
            return "R8: the document is not there, or a document rule hides it from this person; \
                    both get the same answer. Look at the folder and at [[documents.rule]]."
                .into();
        }
        Refusal::NoCalAssigned => {
            return "R9: the person holds no named CAL, and the open may not assign one. Assign one \
                    with “accesspoint cal assign USER”, or switch “Allow dynamic assignment” on."
                .into();
        }
        Refusal::UserDisabled => {
            return "R21: the user is disabled; CAL and leases stay and cannot be renewed. Enable \
                    with “accesspoint user enable NAME”."
                .into();
        }
        Refusal::NoFreeCal {
            held,
            taken,
            retry_at,
        } => return no_free_cal_to_administrator(on, *held, *taken, *retry_at),
        Refusal::CalQuarantined { since, until } => {
            return sentence![
                "R9: the person's named CAL was taken back on ",
                on.minute(*since),
                " and is in quarantine until ",
                on.earliest(*until),
                ". Give it back at once with “accesspoint cal assign USER”.",
            ];
        }
        Refusal::WorkstationLimit {
            others,
            window,
            retry_at,
        } => return workstation_limit_to_administrator(on, others, *window, *retry_at),
        _ => license_to_administrator(on, refusal),
    };
    if let Some(at) = refusal.retry_at() {
        said.append(sentence![" It passes from ", on.earliest(at), "."]);
    }
    said.push(" Documents open. Load another LEF with “accesspoint license load FILE”.");
    said
}

fn license_to_administrator(on: Dates, refusal: &Refusal) -> Sentence {
    match refusal {
        Refusal::LicenseTestEdition { .. } => {
            "R1: the LEF says special edition Test, so no lease is granted.".into()
        }
        Refusal::LicenseEditionCannotLease { edition, .. } => sentence![format!(
            "R2: the LEF says edition “{edition}”; only Enterprise and Small Business lease."
        )],
        Refusal::LicenseForbidsLease { .. } => {
            "R3: the LEF holds LICENSE_LEASE;NO, so no lease is granted.".into()
        }
        Refusal::LicenseLimitsDocuments { limit, .. } => sentence![format!(
            "R4: the LEF holds NUMBER_OF_DOCUMENTS ({limit}), so no lease is granted."
        )],
        Refusal::LicenseExpired {
            ended_at: Some(ended_at),
            ..
        } => sentence![
            "R5: a TIMELIMIT or PRODUCTLEVEL line of the LEF ended on ",
            on.minute(*ended_at),
            ".",
        ],
        Refusal::LicenseExpired { ended_at: None, .. } => {
            "R5: a TIMELIMIT or PRODUCTLEVEL line of the LEF does not count now.".into()
        }
        _ => "R6: the LEF holds no named user CALs that count now.".into(),
    }
}

fn no_free_cal_to_administrator(
    on: Dates,
    held: u32,
    taken: u32,
    retry_at: Option<Timestamp>,
) -> Sentence {
    let mut said = sentence![format!(
        "R9: the LEF holds {held} named CALs and {taken} are taken, those in quarantine included."
    )];
    match retry_at {
        Some(at) => said.append(sentence![
            " Enough quarantines end on ",
            on.earliest(at),
            " for one to be free.",
        ]),
        None => said.push(" No quarantine that ends will free one."),
    }
    said.push(" Unassign one with “accesspoint cal unassign USER”, or load a larger LEF.");
    said
}

fn workstation_limit_to_administrator(
    on: Dates,
    others: &[WorkstationUse],
    window: Millis,
    retry_at: Timestamp,
) -> Sentence {
    let mut said = sentence!["R13: "];
    said.append(others_have_leased(on, others, window, "of this person"));
    said.append(works_if_unused(on, others, retry_at));
    said.push("Let it lease now by lifting another: “accesspoint workstation lift");
    for other in to_fall_silent(others) {
        said.push(format!(" {}", other.workstation.id));
    }
    said.push("”.");
    said
}

fn way_out(way: WayOut) -> &'static str {
    match way {
        WayOut::AskForCal => "Ask your administrator for a named CAL",
        WayOut::AskToGiveBack => "Ask your administrator to give your named CAL back",
        WayOut::AskToLift => "Ask your administrator to lift one of the other workstations",
        WayOut::AskToSwitchLeasingOn => "Ask your administrator to allow leasing",
        WayOut::AskForLicense => "Ask your administrator for another licence",
        WayOut::AskToEnable => "Ask your administrator to enable your account",
        WayOut::AskForDocument => "Ask for access to the document",
        WayOut::LeaseFromProduction => "Lease from your production server",
        WayOut::WorkOnline => "Work online here",
        WayOut::UseOtherWorkstation => "Use one of the workstations that already lease",
        WayOut::SignInAsSomeoneElse => "Sign in as someone else",
    }
}
