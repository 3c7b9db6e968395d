//! What stops a request, in German.

use std::borrow::Cow;

use super::span_dative;
use crate::domain::mapping::Unmapped;
use crate::text::{Problem, ProblemText, Span};

const UNCHANGED: &str = "Nichts wurde geändert.";

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
            "Das ist nicht sicher. Sehen Sie auf der Seite nach, von der Sie kamen, bevor Sie es noch einmal versuchen."
        }
        Problem::UpstreamAnswer { .. } => "Hier wurde nichts geändert.",
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
            "Noch ein Schritt",
            "Das Passwort allein genügt nicht: Dieses Konto hat einen zweiten Faktor.".into(),
            "Geben Sie den Code ein, den Ihr zweiter Faktor zeigt.".into(),
        ),
        Problem::ChallengeEnded => (
            "Nicht angemeldet",
            "Der zweite Schritt hat zu lange gedauert, oder zu viele Codes waren falsch.".into(),
            "Melden Sie sich neu an.".into(),
        ),
        Problem::PasskeyRefused => (
            "Nicht angemeldet",
            "Der Passkey wurde nicht angenommen.".into(),
            "Melden Sie sich anders an. Ein Passkey allein genügt nur, wenn Ihr Kennwort hier \
             geführt wird; sonst ist er der zweite Schritt."
                .into(),
        ),
        Problem::SecondFactorMissing => (
            "Zuerst ein zweiter Faktor",
            "Ihr Konto braucht einen zweiten Faktor und hat noch keinen.".into(),
            "Richten Sie einen auf der Seite Ihres Kontos ein; danach geht es weiter.".into(),
        ),
        Problem::SecondFactorNeeded => (
            "Ihr letzter zweiter Faktor",
            "Ihr Konto braucht einen zweiten Faktor, und dieser ist der einzige.".into(),
            "Richten Sie zuerst einen anderen ein.".into(),
        ),
        Problem::PasskeyTaken => (
            "Passkey nicht hinzugefügt",
            "Dieser Passkey gehört schon zu einem Konto.".into(),
            "Verwenden Sie einen anderen.".into(),
        ),
        _ => (
            "Nicht angemeldet",
            "Der Code oder der Passkey stimmt nicht.".into(),
            "Versuchen Sie es mit dem Code, den die App jetzt zeigt; jeder Code gilt einmal."
                .into(),
        ),
    }
}

fn sign_in_problem(problem: &Problem) -> Words {
    match problem {
        Problem::SignInFailed => (
            "Nicht angemeldet",
            "Der Name oder das Passwort stimmt nicht.".into(),
            "Versuchen Sie es noch einmal. Wenn Sie das Passwort nicht mehr wissen, kann Ihre Administration ein neues setzen."
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
            "Noch einmal anmelden",
            "Dafür ist eine frische Anmeldung nötig.".into(),
            "Melden Sie sich noch einmal an, und tun Sie es dann.".into(),
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
            "Nicht angemeldet",
            "Während Sie sich anmeldeten, wurden Ihr Passwort, Ihre Rollen oder Ihre Sitzungen geändert, \
             oder Sie wurden dort abgemeldet, wo Sie sich anmeldeten."
                .into(),
            "Melden Sie sich noch einmal an.".into(),
        ),
        Problem::TooManySessions { most } => (
            "Nicht angemeldet",
            format!(
                "Sie sind schon {} angemeldet, und öfter geht es nicht.",
                if *most == 1 { "einmal".to_owned() } else { format!("{most}-mal") }
            )
            .into(),
            "Beenden Sie unter Mein Konto eine der Sitzungen, dort wo Sie angemeldet sind; eine, die \
             niemand benutzt, endet von selbst."
                .into(),
        ),
        Problem::PasswordEnded { name } => (
            "Nicht angemeldet",
            format!("Ihr Passwort bei {name} ist abgelaufen oder muss dort erst geändert werden.")
                .into(),
            "Ändern Sie es dort, wo Sie sich am Arbeitsplatz anmelden, und melden Sie sich dann hier an.".into(),
        ),
        Problem::SourceSilent { name } => (
            "Nicht angemeldet",
            format!(
                "Der Name oder das Passwort stimmt nicht, oder gehört zu {name}, von wo gerade \
                 keine Antwort kommt."
            )
            .into(),
            "Prüfen Sie beides, oder versuchen Sie es in ein paar Minuten noch einmal.".into(),
        ),
        Problem::TooManyAttempts { wait } => (
            "Zu viele Versuche",
            "Es gab zu viele falsche Versuche.".into(),
            format!("Versuchen Sie es in {} noch einmal.", span_dative(Span::wait(*wait))).into(),
        ),
        _ => (
            "Erst anmelden",
            "Hier ist niemand angemeldet.".into(),
            "Melden Sie sich an, um fortzufahren.".into(),
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
            "Nicht angemeldet",
            format!(
                "Was zurückkam, zeigt nicht, dass es von {source} ist, oder {source} kennt es nicht \
                 mehr."
            )
            .into(),
            "Beginnen Sie noch einmal. Bleibt es so, sagen Sie es Ihrer Administration.".into(),
        ),
        Problem::ProviderTooWeak { source } => (
            "Nicht angemeldet",
            format!(
                "Ihre Anmeldung bei {source} ist länger her oder schwächer, als dieser AccessPoint \
                 verlangt, oder {source} sagt nicht, wann sie war."
            )
            .into(),
            "Melden Sie sich dort neu an, mit allem, was es dort gibt, und beginnen Sie dann noch einmal. \
             Bleibt es so, sagen Sie es Ihrer Administration."
                .into(),
        ),
        Problem::ClocksDiffer { source } => (
            "Nicht angemeldet",
            format!("Die Uhr von {source} und die hiesige stimmen nicht überein.").into(),
            "Sagen Sie es Ihrer Administration. Sobald sie übereinstimmen, geht es wieder.".into(),
        ),
        Problem::AttemptInvalid { source } => (
            "Diese Anmeldung ist vorbei",
            format!(
                "Was von {source} zurückkam, gehört zu keiner Anmeldung, die hier wartet: Sie wurde \
                 schon benutzt, anderswo begonnen oder vor zu langer Zeit."
            )
            .into(),
            "Beginnen Sie noch einmal; Sie kommen zu dem, was Sie wollten.".into(),
        ),
        Problem::CookieMissing { source } => (
            "Nicht angemeldet",
            format!(
                "Dieser Browser hat die Anmeldung bei {source}, die zurückkam, nicht begonnen, oder \
                 er behält keine Cookies."
            )
            .into(),
            "Erlauben Sie Cookies für diese Adresse, und beginnen Sie in diesem Browser noch einmal."
                .into(),
        ),
        Problem::ProviderSaid { source, said } => provider_said(source, said),
        Problem::ProviderIll { source, said } => (
            "Nicht angemeldet",
            if said.is_empty() {
                format!("{source} sagt, dass es gerade niemanden anmelden kann.").into()
            } else {
                format!("{source} kann gerade niemanden anmelden. Von dort heißt es: „{said}“.").into()
            },
            "Beginnen Sie in ein paar Minuten noch einmal. Bleibt es so, sagen Sie es Ihrer \
             Administration."
                .into(),
        ),
        Problem::AnswerPosted { source } => (
            "Nicht angemeldet",
            format!(
                "{source} hat die Antwort als Formular geschickt; gelesen wird sie nur aus der Adresse."
            )
            .into(),
            "Beginnen Sie noch einmal. Bleibt es so, sagen Sie es Ihrer Administration: Der Anbieter muss \
             mit response_mode=query antworten."
                .into(),
        ),
        Problem::UserNameTaken { name } => (
            "Nicht angemeldet",
            format!("Der Benutzername {name} gehört schon zu einer anderen Identität.").into(),
            "Ihre Administration kann die beiden verbinden oder Ihnen einen anderen Benutzernamen geben.".into(),
        ),
        _ => (
            "Nicht angemeldet",
            "Ihr Konto ist gesperrt.".into(),
            "Ihre Administration kann es wieder freigeben.".into(),
        ),
    }
}

fn sign_in_refused(source: &str, name: &str, groups: &[String], why: &Unmapped) -> Words {
    let (reason, way_out) = match why {
        Unmapped::NoRuleMatches => (
            format!(
                "nichts dort erlaubt Ihnen, diesen AccessPoint zu benutzen. Sie waren angemeldet als \
                 {name}, {}.",
                in_groups(groups)
            ),
            "Bitten Sie um eine der Gruppen, die Ihre Administration festgelegt hat.",
        ),
        Unmapped::Denied { .. } => (
            format!(
                "die Regeln dieses AccessPoints schließen Sie aus. Sie waren angemeldet als {name}, {}.",
                in_groups(groups)
            ),
            "Ihre Administration kann sagen, warum, und es ändern.",
        ),
        Unmapped::ClaimMissing { claim } => (
            format!(
                "nicht gesagt, woran Sie hier zu erkennen sind: „{claim}“ fehlt oder ist leer."
            ),
            "Ihre Administration kann es dort ergänzen.",
        ),
        Unmapped::ClaimElsewhere { claim } | Unmapped::ClaimUnusable { claim, .. } => (
            format!("was dort in „{claim}“ über Sie steht, ist hier nicht zu gebrauchen."),
            "Ihre Administration kann es dort ändern; das Protokoll sagt, was daran falsch ist.",
        ),
        Unmapped::NameInvalid(_) | Unmapped::NameNotAllowed { .. } => (
            format!(
                "der Benutzername, den Sie dort haben, ist hier nicht zu gebrauchen. Man kennt Sie \
                 dort als {name}."
            ),
            "Ihre Administration kann Ihnen einen anderen Benutzernamen geben.",
        ),
    };
    let happened = format!("{source} hat Sie eingelassen, aber {reason}");
    ("Nicht angemeldet", happened.into(), way_out.into())
}

fn provider_said(source: &str, said: &str) -> Words {
    (
        "Nicht angemeldet",
        if said.is_empty() {
            format!("{source} hat Sie nicht angemeldet.").into()
        } else {
            format!("{source} hat Sie nicht angemeldet. Von dort heißt es: „{said}“.").into()
        },
        "Beginnen Sie noch einmal. Bleibt es so, sagen Sie es Ihrer Administration.".into(),
    )
}

fn in_groups(groups: &[String]) -> String {
    if groups.is_empty() {
        return "in keiner Gruppe".to_owned();
    }
    format!("in den Gruppen: {}", groups.join(", "))
}

fn server_problem(problem: &Problem) -> Words {
    match problem {
        Problem::UpstreamAnswer { name } => (
            "Ein Server gab keine brauchbare Antwort",
            format!("{name} gab eine Antwort, die hier keinen Sinn ergibt.").into(),
            "Versuchen Sie es in ein paar Minuten noch einmal. Bleibt es so, sagen Sie es Ihrer Administration.".into(),
        ),
        Problem::UpstreamSilent { name } => (
            "Ein Server antwortet nicht",
            format!("{name} antwortet nicht.").into(),
            "Versuchen Sie es in ein paar Minuten noch einmal. Bleibt es so, sagen Sie es Ihrer Administration.".into(),
        ),
        Problem::UpstreamChanging { name } => (
            "Die CALs werden gerade geändert",
            format!(
                "Jemand anderes ändert gerade die CALs in {name}. Darum wurde Ihnen keine zugewiesen: \
                 Jene Änderung soll nicht verloren gehen."
            )
            .into(),
            "Versuchen Sie es in einer Minute noch einmal.".into(),
        ),
        Problem::Busy { wait } => (
            "Gerade ist viel los",
            "Es warten mehr Menschen, als zugleich bedient werden können.".into(),
            format!("Versuchen Sie es in {} noch einmal.", span_dative(Span::wait(*wait))).into(),
        ),
        _ => (
            "Etwas ging schief",
            "Das Gateway hat selbst einen Fehler gemacht. Er steht in seinem Protokoll.".into(),
            "Versuchen Sie es noch einmal. Geschieht es wieder, sagen Sie es Ihrer Administration.".into(),
        ),
    }
}

fn request_problem(problem: &Problem) -> Words {
    match problem {
        Problem::CsrfTokenInvalid => (
            "Das Formular ist zu alt",
            "Das Formular gehört zu einer früheren Sitzung oder kam nicht von diesem AccessPoint."
                .into(),
            "Gehen Sie zurück, laden Sie die Seite neu, und schicken Sie das Formular noch einmal ab.".into(),
        ),
        Problem::NoCookies => (
            "Keine Cookies",
            "Dieser Browser hat keines der Cookies behalten, die das Anmelden braucht.".into(),
            "Erlauben Sie Cookies für diese Adresse, laden Sie die Seite neu, und melden Sie sich an.".into(),
        ),
        Problem::CookieTwice => (
            "Nicht verstanden",
            "Eines der Cookies dieser Adresse kam doppelt, also ist eines davon nicht von hier.".into(),
            "Löschen Sie in Ihrem Browser die Cookies dieser Adresse, und melden Sie sich neu an.".into(),
        ),
        Problem::TooManyGuesses { wait } => (
            "Zu viele Anfragen",
            "Aus Ihrem Netz kamen sehr viele Anfragen mit Sitzungen, die beendet sind oder die es nie gab."
                .into(),
            format!(
                "Melden Sie sich an, das geht trotzdem, oder versuchen Sie es in {} noch einmal.",
                span_dative(Span::wait(*wait))
            )
            .into(),
        ),
        Problem::Forbidden => (
            "Nicht erlaubt",
            "Ihr Konto darf das nicht.".into(),
            "Bitten Sie Ihre Administration um das Recht dazu.".into(),
        ),
        Problem::PasswordElsewhere => (
            "Nicht geändert",
            "Hier liegt kein Passwort von Ihnen.".into(),
            "Ändern Sie es dort, wo Sie sich anmelden, oder bitten Sie Ihre Administration, hier eines zu setzen."
                .into(),
        ),
        Problem::NotAsked => (
            "Nicht ausgeführt",
            "Das kam von einer Seite einer anderen Website, oder vom Browser, bevor jemand geklickt hat.".into(),
            "Öffnen Sie den AccessPoint selbst, und tun Sie es dort.".into(),
        ),
        Problem::LaunchTicketInvalid => (
            "Der Link gilt nicht",
            "Der Link zum Dokument ist abgelaufen oder gehört zu einer anderen Sitzung oder einem anderen Arbeitsplatz."
                .into(),
            "Öffnen Sie das Dokument noch einmal vom AccessPoint aus.".into(),
        ),
        Problem::LaunchTicketUsed => (
            "Der Link wurde schon benutzt",
            "Der Link hat das Dokument schon geliefert.".into(),
            "Öffnen Sie das Dokument noch einmal vom AccessPoint aus.".into(),
        ),
        Problem::NotFound => (
            "Nicht gefunden",
            "Unter dieser Adresse ist nichts, oder es ist nicht für Sie.".into(),
            "Sehen Sie nach, ob die Adresse richtig geschrieben ist, oder beginnen Sie bei den Dokumenten.".into(),
        ),
        Problem::MethodNotAllowed => (
            "So nicht",
            "Diese Adresse antwortet nicht auf eine solche Anfrage.".into(),
            "Beginnen Sie bei den Dokumenten.".into(),
        ),
        Problem::TooSlow => (
            "Zu langsam",
            "Was geschickt wurde, kam nicht rechtzeitig an; darauf wird nicht länger gewartet.".into(),
            "Schicken Sie es noch einmal; hilft das nicht, sehen Sie nach der Verbindung.".into(),
        ),
        Problem::TooLarge => (
            "Zu groß",
            "Was geschickt wurde, ist größer, als hier angenommen wird.".into(),
            "Schicken Sie weniger auf einmal, und versuchen Sie es noch einmal.".into(),
        ),
        Problem::UnsupportedMediaType => (
            "Nicht verstanden",
            "Was geschickt wurde, ist von einer Art, die hier nicht verstanden wird.".into(),
            "Schicken Sie es so, wie die Seite oder die Beschreibung der API es sagt.".into(),
        ),
        Problem::WrongHost => (
            "Nicht diese Adresse",
            "Unter diesem Hostnamen antwortet dieser Server nicht.".into(),
            "Benutzen Sie die Adresse, die Ihre Administration Ihnen gegeben hat.".into(),
        ),
        Problem::BodyInvalid { detail } => (
            "Nicht angenommen",
            format!("Was geschickt wurde, passt nicht: {detail}.").into(),
            "Berichtigen Sie es, und schicken Sie es noch einmal.".into(),
        ),
        _ => (
            "Nicht verstanden",
            "Die Anfrage war nicht lesbar.".into(),
            "Gehen Sie zurück, und versuchen Sie es noch einmal.".into(),
        ),
    }
}
