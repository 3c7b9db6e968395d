//! What a catalogue has to say.
//!
//! Functions get the instants that they mention and, as [`Dates`], how to write them.

#![expect(
    missing_docs,
    reason = "the name of a label and its English text say what it is"
)]

use super::{Dates, Problem, ProblemText, Sentence, Span, Touches};
use crate::domain::client::ClientKind;
use crate::domain::refusal::{Refusal, WayOut};
use crate::domain::time::Timestamp;

/// A whole catalogue.
#[derive(Debug)]
pub struct Text {
    pub frame: FrameText,
    pub marks: MarkText,
    pub time: TimeText,
    pub sign_in: SignInText,
    pub leaving: LeavingText,
    pub access_point: AccessPointText,
    pub hand_over: HandOverText,
    pub refused: RefusedText,
    pub account: AccountText,
    pub second_factor: SecondFactorText,
    pub desktop: DesktopText,
    pub error: ErrorText,
    pub ask: AskText,
    pub notice: NoticeText,
    pub refusal: RefusalText,
    /// The words for a problem; the command line uses the English ones too.
    pub problem: fn(&Problem) -> ProblemText,
    /// How a document is opened with this kind of client, as a button beside *Open* says it.
    pub client: fn(ClientKind) -> &'static str,
}

/// The frame of every page.
#[derive(Debug)]
pub struct FrameText {
    pub skip_to_content: &'static str,
    pub navigation: &'static str,
    pub documents: &'static str,
    pub account: &'static str,
    pub desktop: &'static str,
    pub console: &'static str,
    pub language: &'static str,
    pub signed_in_as: &'static str,
    pub sign_out: &'static str,
    pub version: &'static str,
    pub request: &'static str,
    pub times_in_utc: &'static str,
    pub times_in_your_zone: &'static str,
}

/// The words beside the marks.
#[derive(Debug)]
pub struct MarkText {
    pub passed: &'static str,
    pub refused: &'static str,
}

/// Lengths of time.
#[derive(Debug)]
pub struct TimeText {
    /// `1 day`, `2 hours`.
    pub span: fn(Span) -> String,
}

/// The sign-in page.
#[derive(Debug)]
pub struct SignInText {
    pub title: &'static str,
    pub user_name: &'static str,
    pub password: &'static str,
    pub caps_lock: &'static str,
    pub submit: &'static str,
    /// What the gateway's own accounts are called among other sources.
    pub this_gateway: &'static str,
    /// Whose passwords count, in the order in which they are asked.
    pub passwords_of: fn(&[&str]) -> String,
    /// A source that does not answer.
    pub silent: fn(&str) -> String,
    pub no_way_in: &'static str,
    pub passkey: &'static str,
}

/// The page between signing out here and at a provider.
#[derive(Debug)]
pub struct LeavingText {
    pub title: &'static str,
    /// What happens by itself; the provider.
    pub goes_on: fn(&str) -> String,
    pub if_nothing_happens: &'static str,
    pub by_hand: &'static str,
}

/// The `AccessPoint` page.
#[derive(Debug)]
pub struct AccessPointText {
    pub my_license: &'static str,
    pub license_missing: &'static str,
    pub cal_assigned: fn(Dates, Timestamp) -> Sentence,
    /// Taken back at, rests until.
    pub cal_quarantined: fn(Dates, Timestamp, Timestamp) -> Sentence,
    pub cal_assigned_there: &'static str,
    pub left_to_server: &'static str,
    pub cal_assigned_by_opening: &'static str,
    pub cal_missing: &'static str,
    pub lease_live: fn(Dates, Timestamp) -> Sentence,
    pub lease_by_opening: &'static str,
    /// From when this workstation can lease.
    pub lease_waits: fn(Dates, Timestamp) -> Sentence,
    pub lease_not_possible: &'static str,
    pub lease_needs_cal: &'static str,
    /// How many count, and when the first of them stops counting.
    pub workstations_used: fn(Dates, usize, Option<Timestamp>) -> Sentence,
    pub counts_until: &'static str,
    pub this_workstation: &'static str,
    pub documents: &'static str,
    pub search: &'static str,
    pub search_submit: &'static str,
    pub categories: &'static str,
    pub every_category: &'static str,
    pub changed: &'static str,
    pub open: &'static str,
    pub other_ways: &'static str,
    pub add_favourite: &'static str,
    pub remove_favourite: &'static str,
    pub document_count: fn(usize) -> String,
    pub in_desktop: &'static str,
    /// Said where the web server of an estate cannot list the documents now.
    pub unlisted: &'static str,
    pub no_documents: &'static str,
    pub no_documents_next: &'static str,
    pub nothing_found: &'static str,
    pub nothing_found_next: &'static str,
    pub show_all: &'static str,
}

/// The page after an open with access.
#[derive(Debug)]
pub struct HandOverText {
    pub title: &'static str,
    pub document: &'static str,
    pub lease: &'static str,
    pub next: &'static str,
    pub opens_now: &'static str,
    /// Said where the page waits, so that a refusal can be read.
    pub opens_in: fn(Span) -> String,
    pub granted: fn(Dates, Timestamp) -> Sentence,
    pub renewed: fn(Dates, Timestamp) -> Sentence,
    /// In front of an estate: its server is expected to lease until then.
    pub expected: fn(Dates, Timestamp) -> Sentence,
    pub signed_key: &'static str,
    pub machine_names: &'static str,
    /// Said before the link past the gateway.
    pub direct: &'static str,
    pub open_directly: &'static str,
    pub look_at_outcome: &'static str,
    pub outcome_title: &'static str,
    pub nothing_opened: &'static str,
    pub still_watching: &'static str,
    /// The machine as the server calls it, and the end of its lease.
    pub leased_to: fn(Dates, &str, Timestamp) -> Sentence,
    pub not_leased: &'static str,
    pub lease_not_needed: &'static str,
    /// Said where R14 took a running lease.
    pub lease_ended: &'static str,
    /// What happens by itself, after how long, with this client.
    pub goes_on: fn(ClientKind, Span) -> String,
    pub relaunch_desktop: &'static str,
    pub if_nothing_happens: &'static str,
    pub to_go_on_at_once: &'static str,
    pub open_by_hand: &'static str,
    pub back: &'static str,
}

/// What refusal page and hand-over page share.
#[derive(Debug)]
pub struct RefusedText {
    pub title: &'static str,
    pub try_from: &'static str,
    pub what_you_can_do: &'static str,
    pub every_rule: &'static str,
    pub rule: &'static str,
    pub state: &'static str,
    pub set_desktop_up: &'static str,
}

/// The account page.
#[derive(Debug)]
pub struct AccountText {
    pub title: &'static str,
    pub cal: &'static str,
    pub leases: &'static str,
    pub no_leases: &'static str,
    pub workstation: &'static str,
    pub state: &'static str,
    pub granted: &'static str,
    pub renewed: &'static str,
    pub ends: &'static str,
    pub action: &'static str,
    pub lease_live: &'static str,
    pub lease_expired: &'static str,
    pub lease_revoked: &'static str,
    pub lease_released: &'static str,
    pub release: &'static str,
    pub release_effect: &'static str,
    pub workstations: &'static str,
    pub no_workstations: &'static str,
    pub name: &'static str,
    pub rename: &'static str,
    pub last_leased: fn(Dates, Timestamp) -> Sentence,
    pub never_leased: &'static str,
    pub sessions: &'static str,
    pub sessions_effect: &'static str,
    pub session: &'static str,
    pub signed_in: &'static str,
    pub last_seen: &'static str,
    pub this_session: &'static str,
    pub end_session: &'static str,
    pub end_every_session: &'static str,
    pub password: &'static str,
    pub current_password: &'static str,
    pub new_password: &'static str,
    pub new_password_hint: &'static str,
    pub repeat_password: &'static str,
    pub change_password: &'static str,
    pub language: &'static str,
    pub language_effect: &'static str,
}

/// The second step of a sign-in, and the pages of second factors.
#[derive(Debug)]
pub struct SecondFactorText {
    pub title: &'static str,
    /// How many there are.
    pub summary: fn(usize) -> String,
    pub manage: &'static str,
    pub intro: &'static str,
    pub must_enrol: &'static str,
    pub required: &'static str,
    pub yours: &'static str,
    pub totp: &'static str,
    pub passkey: &'static str,
    pub enrolled: &'static str,
    pub last_used: &'static str,
    pub never_used: &'static str,
    pub remove: &'static str,
    pub end_others: &'static str,
    pub add_totp: &'static str,
    pub add_totp_hint: &'static str,
    pub totp_name: &'static str,
    pub add_passkey: &'static str,
    pub add_passkey_hint: &'static str,
    pub passkey_name: &'static str,
    pub begin: &'static str,
    pub back: &'static str,
    pub cancel: &'static str,
    pub scan: &'static str,
    pub picture: &'static str,
    pub or_key: &'static str,
    pub open_app: &'static str,
    pub totp_code: &'static str,
    pub finish: &'static str,
    pub passkey_explain: &'static str,
    pub make_passkey: &'static str,
    pub no_passkeys_here: &'static str,
    pub passkey_failed: &'static str,
    pub codes: &'static str,
    pub codes_intro: &'static str,
    pub codes_kept: &'static str,
    /// How many are left.
    pub codes_left: fn(u32) -> String,
    pub new_codes: &'static str,
    pub new_codes_effect: &'static str,
    pub confirm_title: &'static str,
    pub confirm_intro: &'static str,
    pub confirm_submit: &'static str,
    pub confirm_sign_in: &'static str,
    pub step_title: &'static str,
    pub step_passkey: &'static str,
    pub step_submit: &'static str,
    pub step_help: &'static str,
    pub code: &'static str,
    pub recovery_code: &'static str,
    pub added: &'static str,
    pub removed: &'static str,
    pub renamed: &'static str,
    pub confirmed: &'static str,
    pub not_confirmed: &'static str,
    pub name_invalid: &'static str,
    pub code_wrong: &'static str,
    pub took_too_long: &'static str,
}

/// The page that explains how to set Desktop up.
#[derive(Debug)]
pub struct DesktopText {
    pub title: &'static str,
    pub intro: &'static str,
    pub open_settings: &'static str,
    pub settings_path: &'static str,
    pub enter_address: &'static str,
    pub copy: &'static str,
    pub copied: &'static str,
    pub confirm: &'static str,
    pub open_access_point: &'static str,
    pub access_point_path: &'static str,
    pub sign_in_and_open: &'static str,
    pub relaunch: &'static str,
    pub menus: &'static str,
}

/// The error page.
#[derive(Debug)]
pub struct ErrorText {
    pub happened: &'static str,
    pub changed: &'static str,
    pub next: &'static str,
    pub tell_request: &'static str,
    pub to_access_point: &'static str,
    pub to_sign_in: &'static str,
    pub start_again: &'static str,
    pub as_other: &'static str,
}

/// The page that asks before something is done that a page of another site wants.
#[derive(Debug)]
pub struct AskText {
    pub open_title: &'static str,
    /// The title of the document, where the person may see it.
    pub open: fn(Option<&str>) -> String,
    pub open_button: &'static str,
    pub sign_in_title: &'static str,
    /// Who would be signed in, and who is.
    pub sign_in: fn(&str, &str) -> String,
    pub sign_in_button: fn(&str) -> String,
    pub leave: &'static str,
}

/// One sentence after something was done, or could not be done.
#[derive(Debug)]
pub struct NoticeText {
    pub signed_out: &'static str,
    /// Signed out, but not at the provider.
    pub signed_out_here: &'static str,
    pub session_ended: &'static str,
    pub lease_released: &'static str,
    pub workstation_renamed: &'static str,
    pub workstation_name_invalid: &'static str,
    pub one_session_ended: &'static str,
    pub every_session_ended: &'static str,
    pub password_changed: &'static str,
    pub password_wrong: &'static str,
    pub passwords_differ: &'static str,
    pub password_too_short: &'static str,
    pub password_too_long: &'static str,
    pub password_too_common: &'static str,
    pub language_set: &'static str,
    pub web_ticket_invalid: &'static str,
    pub web_ticket_alone: &'static str,
}

/// The words for refusals, and the rules by name.
#[derive(Debug)]
pub struct RefusalText {
    pub to_user: fn(&Refusal, Touches, Timestamp) -> Sentence,
    pub to_administrator: fn(&Refusal, Timestamp) -> Sentence,
    pub way_out: fn(WayOut) -> &'static str,
    /// R0 to R24, by number.
    pub rules: [&'static str; 25],
}
