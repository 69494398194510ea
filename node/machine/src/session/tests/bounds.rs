//! Every limit, and what happens at it.

use super::*;

#[test]
fn a_window_that_is_full_takes_no_more_until_something_is_acknowledged() {
    let mut log = Log::default();
    let session = log.open(60_000);
    for sequence in 1..=WINDOW {
        assert!(matches!(log.send(session, sequence, 1, 1), Outcome::Applied { .. }));
    }
    assert_eq!(log.send(session, WINDOW + 1, 1, 2), refused(Refusal::Window));
    assert_eq!(log.send(session, u64::MAX, 1, 2), refused(Refusal::Window));
    // What is kept is still answered, and one acknowledgement makes room for one command.
    assert_eq!(log.send(session, 7, 1, 1), applied(8, 7));
    assert!(matches!(log.send(session, WINDOW + 1, 2, 3), Outcome::Applied { .. }));
    assert_eq!(log.send(session, WINDOW + 2, 2, 4), refused(Refusal::Window));
    assert_eq!(log.commands().len(), usize::try_from(WINDOW).unwrap() + 1);
}

#[test]
fn answers_that_weigh_too_much_must_be_acknowledged() {
    let mut log = Log::default();
    let session = log.open(60_000);
    let heavy = |text| Note { text, weight: SESSION_WEIGHT_MAX };
    let first = log.apply(in_session(session, 1, 1, heavy(1)));
    assert!(matches!(first, Outcome::Applied { .. }));
    assert_eq!(log.apply(in_session(session, 2, 1, note(2))), refused(Refusal::Window));
    assert_eq!(log.apply(in_session(session, 1, 1, heavy(1))), first);
    assert_eq!(log.apply(in_session(session, 2, 2, note(2))), applied(5, 2));
    assert_eq!(log.commands(), [1, 2]);
}

#[test]
fn one_session_too_many_takes_the_place_of_the_most_silent() {
    let mut log = Log::default();
    let sessions: Vec<SessionId> = (0..SESSIONS_MAX).map(|_| log.open(60_000)).collect();
    assert!(matches!(log.send(sessions[0], 1, 1, 1), Outcome::Applied { .. }));
    let late = log.open(1_000);
    assert_eq!(log.sessions.session_count(), SESSIONS_MAX);
    assert_eq!(log.send(sessions[1], 1, 1, 2), refused(Refusal::Expired));
    for session in [sessions[0], sessions[2], late] {
        let kept = log.apply(Request::KeepAlive { session });
        assert!(matches!(kept, Outcome::KeptAlive { .. }), "{session:?}: {kept:?}");
    }
    assert_eq!(log.commands(), [1]);
}

#[test]
fn answers_of_all_sessions_together_are_bounded_but_never_that_of_the_command_at_hand() {
    let mut log = Log::default();
    let heavy = Note { text: 1, weight: SESSION_WEIGHT_MAX };
    let fit = WEIGHT_MAX / SESSION_WEIGHT_MAX;
    let sessions: Vec<SessionId> = (0..fit).map(|_| log.open(60_000)).collect();
    for &session in &sessions {
        let sent = log.apply(in_session(session, 1, 1, heavy));
        assert!(matches!(sent, Outcome::Applied { .. }), "{sent:?}");
    }
    // The last answer was too much, so the session that spoke before all others is gone.
    assert_eq!(log.sessions.session_count(), fit - 1);
    assert_eq!(log.apply(in_session(sessions[0], 1, 1, heavy)), refused(Refusal::Expired));
    let repeated = log.apply(in_session(sessions[fit - 1], 1, 1, heavy));
    assert!(matches!(repeated, Outcome::Applied { .. }), "{repeated:?}");

    let mut log = Log::default();
    let session = log.open(60_000);
    let enormous = in_session(session, 1, 1, Note { text: 1, weight: 2 * WEIGHT_MAX });
    let first = log.apply(enormous.clone());
    assert_eq!(log.apply(enormous), first, "even an answer beyond all limits is kept");
    assert_eq!(log.commands(), [1]);
}
