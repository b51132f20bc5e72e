//! How a batch's dead-man timer stands, as its host says it.

use super::{OutcomeError, key, text_lines};
use crate::core::event::{Timer, TimerState, TimerWatch};
use crate::facts::{self, Section};
use crate::types::{Blake3, Span, Untrusted};

/// Reads the sections `timer` and, where it is there, `replaced`.
///
/// # Errors
/// The first line of the timer that breaks the contract, or one that is missing. Processes that can't
/// be read are not known, which is no error of the timer.
pub fn parse(sections: &[Section]) -> Result<Timer, OutcomeError> {
    let section = sections.iter().find(|section| section.name == "timer");
    let section = section.ok_or(OutcomeError::Missing { section: "answer", what: "timer" })?;
    Ok(Timer { replaced: facts::read_replaced(sections), ..of(section)? })
}

fn of(section: &Section) -> Result<Timer, OutcomeError> {
    let (mut state, mut left, mut watch) = (None, None, None);
    let (mut token, mut operation, mut why) = (None, None, None);
    for line in text_lines(section)? {
        let (word, rest) = key(&line.text);
        match word {
            "state" => {
                let known = TimerState::ALL.into_iter().find(|known| known.word() == rest);
                state = Some(known.ok_or_else(|| line.error())?);
            }
            "watch" => {
                let known = TimerWatch::ALL.into_iter().find(|known| known.word() == rest);
                watch = Some(known.ok_or_else(|| line.error())?);
            }
            "left" => left = Some(Span::secs(line.read(rest)?)),
            "token" => token = line.or_none(rest)?,
            "operation" => operation = line.or_none(rest)?,
            "why" => why = (rest != "-").then(|| Untrusted::new(rest)),
            // What the cockpit sent, and which of the host's clocks counts: for people who ask there.
            "plan" => {
                let _: Option<Blake3> = line.or_none(rest)?;
            }
            "boot" if ["same", "declared", "undeclared"].contains(&rest) => {}
            _ => return Err(line.error()),
        }
    }
    let missing = |what| OutcomeError::Missing { section: "timer", what };
    Ok(Timer {
        state: state.ok_or_else(|| missing("state"))?,
        left: left.ok_or_else(|| missing("left"))?,
        watch: watch.ok_or_else(|| missing("watch"))?,
        token,
        operation,
        why,
        replaced: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(text: &str) -> Section {
        Section {
            name: "timer".into(),
            lines: text.lines().map(|l| l.as_bytes().to_vec()).collect(),
            status: 0,
        }
    }

    #[test]
    fn a_timer_reads_as_its_host_says_it() {
        let text = format!(
            "state armed\ntoken 0123456789abcdef\nplan {}\nleft 61\nboot same\nwatch systemd\noperation -\nwhy -\n",
            Blake3::of(b"plan")
        );
        let timer = parse(&[section(&text)]).expect("reads");
        assert!(timer.is_armed());
        assert_eq!((timer.left, timer.watch), (Span::secs(61), TimerWatch::Systemd));
        let fired = parse(&[section(
            "state rollback-failed\ntoken -\nplan -\nleft 0\nboot same\nwatch none\noperation b1-deadman\nwhy apt says no\n",
        )])
        .expect("reads");
        assert_eq!(fired.state, TimerState::RollbackFailed);
        assert_eq!(fired.why, Some("apt says no".into()));
        assert!(!fired.is_armed());
        assert_eq!(timer.replaced, None);
        let beside = Section {
            name: "replaced".into(),
            lines: vec![b"811\t/system.slice/nginx.service\tnginx\t/lib/libssl.so.3".to_vec()],
            status: 0,
        };
        let timer = parse(&[section(&text), beside]).expect("reads");
        let Some(facts::Fact::Known(replaced)) = &timer.replaced else { panic!("{timer:?}") };
        assert_eq!(replaced[0].path, Some("/lib/libssl.so.3".into()));
        // An armed file that nothing watches would never fire.
        let text = text.replace("watch systemd", "watch none");
        assert!(!parse(&[section(&text)]).expect("reads").is_armed());
    }

    #[test]
    fn what_is_not_as_agreed_is_no_timer() {
        for bad in [
            "",
            "state armed\nleft 1\n",
            "state good\nleft 1\nwatch systemd\n",
            "state armed\nleft soon\nwatch systemd\n",
            "state armed\nleft 1\nwatch systemd\nstray 1\n",
            "state armed\nleft 1\nwatch hope\n",
            "state armed\nleft 1\nwatch systemd\nboot maybe\n",
        ] {
            assert!(parse(&[section(bad)]).is_err(), "{bad:?}");
        }
    }
}
