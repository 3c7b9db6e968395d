//! What stops a request, in English.

use std::borrow::Cow;

use super::span;
use crate::domain::mapping::Unmapped;
use crate::text::{Problem, ProblemText, Span};

const UNCHANGED: &str = "Nothing was changed.";

/// The words for a problem.
pub(super) fn problem(problem: &Problem) -> ProblemText {
    let (title, happened, next) = match problem {
        Problem::SignInRequired
        | Problem::SignInFailed
        | Problem::SignInOvertaken
        | Problem::SecondFactorRequired
        | Problem::SecondFactorFailed
        | Problem::ChallengeEnded
        | Problem::PasskeyRefused
        | Problem::SecondFactorMissing
        | Problem::SecondFactorNeeded
        | Problem::PasskeyTaken
        | Problem::SignInAgain
        | Problem::SignInRefused { .. }
        | Problem::AttemptInvalid { .. }
        | Problem::AttemptUnconfirmed { .. }
        | Problem::ProviderTooWeak { .. }
        | Problem::ClocksDiffer { .. }
        | Problem::CookieMissing { .. }
        | Problem::ProviderSaid { .. }
        | Problem::ProviderIll { .. }
        | Problem::AnswerPosted { .. }
        | Problem::UserNameTaken { .. }
        | Problem::UserDisabled
        | Problem::TooManySessions { .. }
        | Problem::PasswordEnded { .. }
        | Problem::SourceSilent { .. }
        | Problem::TooManyAttempts { .. } => sign_in_problem(problem),
        Problem::UpstreamAnswer { .. }
        | Problem::UpstreamSilent { .. }
        | Problem::UpstreamChanging { .. }
        | Problem::Busy { .. }
        | Problem::Internal => server_problem(problem),
        _ => request_problem(problem),
    };
    let changed = match problem {
        Problem::Internal => {
            "That is not certain. Look at the page that you came from before you try again."
        }
        Problem::UpstreamAnswer { .. } => "Nothing was changed here.",
        _ => UNCHANGED,
    };
    ProblemText {
        title,
        happened,
        changed,
        next,
    }
}

/// Title, what happened, what to do.
type Words = (&'static str, Cow<'static, str>, Cow<'static, str>);

fn factor_problem(problem: &Problem) -> Words {
    match problem {
        Problem::SecondFactorRequired => (
            "One more step",
            "The password alone is not enough: this account has a second factor.".into(),
            "Enter the code that your second factor shows.".into(),
        ),
        Problem::ChallengeEnded => (
            "Not signed in",
            "The second step took too long, or too many codes were wrong.".into(),
            "Sign in again.".into(),
        ),
        Problem::PasskeyRefused => (
            "Not signed in",
            "The passkey was not accepted.".into(),
            "Sign in another way. A passkey alone is for people whose password is kept here; for \
             others it is the second step."
                .into(),
        ),
        Problem::SecondFactorMissing => (
            "A second factor first",
            "Your account needs a second factor, and has none yet.".into(),
            "Set one up on your account's page; then go on.".into(),
        ),
        Problem::SecondFactorNeeded => (
            "Your last second factor",
            "Your account needs a second factor, and this is the only one.".into(),
            "Set another one up first.".into(),
        ),
        Problem::PasskeyTaken => (
            "Passkey not added",
            "This passkey belongs to an account already.".into(),
            "Use another one.".into(),
        ),
        _ => (
            "Not signed in",
            "The code or the passkey is not right.".into(),
            "Try again with the code that the app shows now; each code works once.".into(),
        ),
    }
}

fn sign_in_problem(problem: &Problem) -> Words {
    match problem {
        Problem::SignInFailed => (
            "Not signed in",
            "The name or the password is not right.".into(),
            "Try again. If you no longer know the password, your administrator can set a new one."
                .into(),
        ),
        Problem::SecondFactorFailed
        | Problem::ChallengeEnded
        | Problem::PasskeyRefused
        | Problem::SecondFactorMissing
        | Problem::SecondFactorNeeded
        | Problem::PasskeyTaken
        | Problem::SecondFactorRequired => factor_problem(problem),
        Problem::SignInAgain => (
            "Sign in again",
            "This needs a fresh sign-in.".into(),
            "Sign in again, and do it then.".into(),
        ),
        Problem::SignInRefused { .. }
        | Problem::AttemptInvalid { .. }
        | Problem::AttemptUnconfirmed { .. }
        | Problem::ProviderTooWeak { .. }
        | Problem::ClocksDiffer { .. }
        | Problem::CookieMissing { .. }
        | Problem::ProviderSaid { .. }
        | Problem::ProviderIll { .. }
        | Problem::AnswerPosted { .. }
        | Problem::UserNameTaken { .. }
        | Problem::UserDisabled => provider_problem(problem),
        Problem::SignInOvertaken => (
            "Not signed in",
            "While you signed in, your password, your roles or your sessions were changed, or you were \
             signed out where you signed in."
                .into(),
            "Sign in again.".into(),
        ),
        Problem::TooManySessions { most } => (
            "Not signed in",
            format!(
                "You are signed in {} already, and that is as often as one can be.",
                if *most == 1 { "once".to_owned() } else { format!("{most} times") }
            )
            .into(),
            "End one of the sessions at My account, where you are signed in; one that nobody uses ends \
             by itself."
                .into(),
        ),
        Problem::PasswordEnded { name } => (
            "Not signed in",
            format!("Your password at {name} has expired, or has to be changed there first.")
                .into(),
            "Change it where you sign in to your workstation, then sign in here.".into(),
        ),
        Problem::SourceSilent { name } => (
            "Not signed in",
            format!(
                "The name or the password is not right, or belongs to {name}, which does not \
                 answer now."
            )
            .into(),
            "Check them, or try again in a few minutes.".into(),
        ),
        Problem::TooManyAttempts { wait } => (
            "Too many attempts",
            "There were too many wrong attempts.".into(),
            format!("Try again in {}.", span(Span::wait(*wait))).into(),
        ),
        _ => (
            "Sign in first",
            "Nobody is signed in here.".into(),
            "Sign in to go on.".into(),
        ),
    }
}

/// Somebody whom a provider vouches for, or does not.
fn provider_problem(problem: &Problem) -> Words {
    match problem {
        Problem::SignInRefused {
            source,
            name,
            groups,
            why,
        } => sign_in_refused(source, name, groups, why),
        Problem::AttemptUnconfirmed { source } => (
            "Not signed in",
            format!(
                "What came back does not show that it is from {source}, or {source} does not know \
                 it any more."
            )
            .into(),
            "Start again. If it stays so, tell your administrator.".into(),
        ),
        Problem::ProviderTooWeak { source } => (
            "Not signed in",
            format!(
                "You signed in at {source} longer ago, or with less, than this AccessPoint asks for, or \
                 {source} does not say when."
            )
            .into(),
            "Sign in there anew with all that it offers, then start again. If it stays so, tell your \
             administrator."
                .into(),
        ),
        Problem::ClocksDiffer { source } => (
            "Not signed in",
            format!("The clock of {source} and the one here do not agree.").into(),
            "Tell your administrator. It works again once they do.".into(),
        ),
        Problem::AttemptInvalid { source } => (
            "This sign-in is over",
            format!(
                "What came back from {source} belongs to no sign-in that is waiting here: it was \
                 used already, or was begun elsewhere or too long ago."
            )
            .into(),
            "Start again; you will come to what you wanted.".into(),
        ),
        Problem::CookieMissing { source } => (
            "Not signed in",
            format!(
                "This browser did not begin the sign-in at {source} that came back, or it keeps no \
                 cookies."
            )
            .into(),
            "Allow cookies for this address, and start again in this browser.".into(),
        ),
        Problem::ProviderSaid { source, said } => provider_said(source, said),
        Problem::ProviderIll { source, said } => (
            "Not signed in",
            if said.is_empty() {
                format!("{source} says that it cannot sign anybody in now.").into()
            } else {
                format!("{source} cannot sign anybody in now. It says: \"{said}\".").into()
            },
            "Start again in a few minutes. If it stays so, tell your administrator.".into(),
        ),
        Problem::AnswerPosted { source } => (
            "Not signed in",
            format!("{source} sent its answer as a form; it is taken from the address alone.").into(),
            "Start again. If it stays so, tell your administrator: the provider has to answer with \
             response_mode=query."
                .into(),
        ),
        Problem::UserNameTaken { name } => (
            "Not signed in",
            format!("The user name {name} already belongs to another identity.").into(),
            "Your administrator can link the two, or give you another user name.".into(),
        ),
        _ => (
            "Not signed in",
            "Your account is disabled.".into(),
            "Your administrator can enable it again.".into(),
        ),
    }
}

fn sign_in_refused(source: &str, name: &str, groups: &[String], why: &Unmapped) -> Words {
    let (reason, way_out) = match why {
        Unmapped::NoRuleMatches => (
            format!(
                "nothing there allows you to use this AccessPoint. You were signed in as {name}, {}.",
                in_groups(groups)
            ),
            "Ask for one of the groups that your administrator has set.",
        ),
        Unmapped::Denied { .. } => (
            format!(
                "the rules of this AccessPoint keep you out. You were signed in as {name}, {}.",
                in_groups(groups)
            ),
            "Your administrator can say why, and change it.",
        ),
        Unmapped::ClaimMissing { claim } => (
            format!(
                "did not say what is needed to know you here: \"{claim}\" is missing or empty."
            ),
            "Your administrator can add it there.",
        ),
        Unmapped::ClaimElsewhere { claim } | Unmapped::ClaimUnusable { claim, .. } => (
            format!("what it says of you in \"{claim}\" cannot be used here."),
            "Your administrator can change it there; the audit says what is wrong with it.",
        ),
        Unmapped::NameInvalid(_) | Unmapped::NameNotAllowed { .. } => (
            format!("the user name that it gives you cannot be used here. It knows you as {name}."),
            "Your administrator can give you another user name.",
        ),
    };
    let happened = format!("{source} let you in, but {reason}");
    ("Not signed in", happened.into(), way_out.into())
}

fn provider_said(source: &str, said: &str) -> Words {
    (
        "Not signed in",
        if said.is_empty() {
            format!("{source} did not sign you in.").into()
        } else {
            format!("{source} did not sign you in. It says: \"{said}\".").into()
        },
        "Start again. If it stays so, tell your administrator.".into(),
    )
}

fn in_groups(groups: &[String]) -> String {
    if groups.is_empty() {
        return "in no groups".to_owned();
    }
    format!("in the groups: {}", groups.join(", "))
}

fn server_problem(problem: &Problem) -> Words {
    match problem {
        Problem::UpstreamAnswer { name } => (
            "A server gave no useful answer",
            format!("{name} gave an answer that makes no sense here.").into(),
            "Try again in a few minutes. If it stays so, tell your administrator.".into(),
        ),
        Problem::UpstreamSilent { name } => (
            "A server does not answer",
            format!("{name} does not answer.").into(),
            "Try again in a few minutes. If it stays so, tell your administrator.".into(),
        ),
        Problem::UpstreamChanging { name } => (
            "The CALs are being changed",
            format!(
                "Somebody else is changing the CALs in {name}, so none was assigned to you: their \
                 change must not be lost."
            )
            .into(),
            "Try again in a minute.".into(),
        ),
        Problem::Busy { wait } => (
            "Much is going on",
            "More people are waiting than can be served at once.".into(),
            format!("Try again in {}.", span(Span::wait(*wait))).into(),
        ),
        _ => (
            "Something went wrong",
            "The gateway made a mistake of its own. It is written in its log.".into(),
            "Try again. If it happens again, tell your administrator.".into(),
        ),
    }
}

fn request_problem(problem: &Problem) -> Words {
    match problem {
        Problem::CsrfTokenInvalid => (
            "The form is too old",
            "The form was made for an earlier session, or did not come from this AccessPoint."
                .into(),
            "Go back, load the page again, and send the form once more.".into(),
        ),
        Problem::NoCookies => (
            "No cookies",
            "This browser kept none of the cookies that signing in needs.".into(),
            "Allow cookies for this address, load the page again, and sign in.".into(),
        ),
        Problem::CookieTwice => (
            "Not understood",
            "One of the cookies of this address came twice, so one of them is not from here."
                .into(),
            "Delete the cookies of this address in your browser, and sign in again.".into(),
        ),
        Problem::TooManyGuesses { wait } => (
            "Too many requests",
            "From your network came very many requests with sessions that have ended or never were."
                .into(),
            format!(
                "Sign in, which is possible all the same, or try again in {}.",
                span(Span::wait(*wait))
            )
            .into(),
        ),
        Problem::Forbidden => (
            "Not allowed",
            "Your account is not allowed to do this.".into(),
            "Ask your administrator for the right to do it.".into(),
        ),
        Problem::PasswordElsewhere => (
            "Not changed",
            "No password of yours is kept here.".into(),
            "Change it where you sign in, or ask your administrator to set one here.".into(),
        ),
        Problem::NotAsked => (
            "Not done",
            "This was sent by a page of another site, or by the browser before anybody clicked."
                .into(),
            "Open the AccessPoint itself, and do it there.".into(),
        ),
        Problem::LaunchTicketInvalid => (
            "The link does not count",
            "The link to the document has run out, or was made for another session or workstation."
                .into(),
            "Open the document again from the AccessPoint.".into(),
        ),
        Problem::LaunchTicketUsed => (
            "The link was used already",
            "The link to the document has already delivered it.".into(),
            "Open the document again from the AccessPoint.".into(),
        ),
        Problem::NotFound => (
            "Not found",
            "There is nothing at this address, or it is not for you.".into(),
            "Look at the address for a misspelling, or start from the documents.".into(),
        ),
        Problem::MethodNotAllowed => (
            "Not that way",
            "This address does not answer to that kind of request.".into(),
            "Start from the documents.".into(),
        ),
        Problem::TooSlow => (
            "Too slow",
            "What was sent did not arrive in time, so it was not waited for any longer.".into(),
            "Send it again; where that does not help, look at the connection.".into(),
        ),
        Problem::TooLarge => (
            "Too large",
            "What was sent is larger than is taken here.".into(),
            "Send less at once, and try again.".into(),
        ),
        Problem::UnsupportedMediaType => (
            "Not understood",
            "What was sent is of a kind that is not understood here.".into(),
            "Send it as the page or the description of the API says.".into(),
        ),
        Problem::WrongHost => (
            "Not this address",
            "This server does not answer under that host name.".into(),
            "Use the address that your administrator gave you.".into(),
        ),
        Problem::BodyInvalid { detail } => (
            "Not accepted",
            format!("What was sent does not fit: {detail}.").into(),
            "Correct it and send it again.".into(),
        ),
        _ => (
            "Not understood",
            "The request could not be read.".into(),
            "Go back and try again.".into(),
        ),
    }
}
