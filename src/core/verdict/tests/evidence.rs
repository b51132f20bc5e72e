//! What a verdict needs before it is said: without it a weaker one is.

use super::*;
use crate::core::event::HostEvent;

/// What is seen, the verdict, and a part of what is said or stands in the evidence.
fn says(lab: &Lab, verdict: Verdict, part: &str) {
    let judged = lab.judged();
    assert_eq!(judged.verdict, verdict, "{judged:#?}");
    let all = format!("{}\n{}", judged.said, judged.evidence.join("\n"));
    assert!(all.contains(part), "{judged:#?}");
}

fn by_time(flow: Flow) -> Option<Flow> {
    Some(Flow { by_time: true, ..flow })
}

#[test]
fn what_was_found_by_address_and_time_alone_decides_nothing() {
    use FailKind as K;
    // A load balancer has the address, the host another: nothing ever comes under the customer's.
    let mut lab = Lab::of(TCP);
    lab.all(fail(K::Refused), fail(K::Refused)).capture(by_time(Flow::default()), None).never_seen();
    says(&lab, Verdict::ServiceDown, "packets are not seen: its own packets were never found on web1");
    let mut lab = Lab::of(TCP);
    lab.globex(fail(K::NoAnswer), ok(9)).capture(by_time(Flow::default()), None).never_seen();
    says(&lab, Verdict::Unknown, "its own packets were never found on web1");
    // Its ports come as they are for others; not for this address.
    let mut lab = Lab::of(TCP);
    lab.globex(fail(K::NoAnswer), ok(9)).capture(Some(Flow::default()), None).never_seen();
    says(&lab, Verdict::Unknown, "its own packets were never found on web1");
    // The host has the address, so that nothing comes says something; and where it was seen to be used.
    lab.facts(9, true, &[]);
    says(&lab, Verdict::NotArriving, "nothing of it comes in on web1");
    let mut lab = Lab::of(TCP);
    lab.globex(fail(K::NoAnswer), ok(9)).capture(by_time(Flow::default()), None);
    says(&lab, Verdict::NotArriving, "nothing of it comes in on web1");
    // Nothing passes by for an address that was never seen, and no attempt was looked for.
    let mut lab = Lab::of(TCP);
    lab.globex(fail(K::NoAnswer), ok(9)).capture(None, None).never_seen();
    says(&lab, Verdict::Unknown, "its own packets were never found on web1");
    // Behind a translated address: somebody's conversation, whose nobody knows.
    let theirs = flow([1, 1, 0, 0, 1, 1], true);
    let mut lab = Lab::of(TCP);
    lab.globex(fail(K::NoAnswer), ok(9)).capture(by_time(theirs.clone()), Some((0, 0, 9, 9)));
    says(&lab, Verdict::Unknown, "its own could not be told apart");
    let shown = packets(&lab.state, &id("globex", 0), now()).cloned();
    assert_eq!(shown, by_time(theirs), "what was found is shown all the same");
    let mut lab = Lab::of(TCP);
    lab.globex(fail(K::Refused), ok(9)).capture(by_time(flow([1, 1, 0, 1, 0, 0], false)), None).no_inside();
    says(&lab, Verdict::Unknown, "whether nobody listens or a firewall refuses it");
}

#[test]
fn a_name_server_that_is_stopped_is_no_firewall() {
    let stopped = |lab: &mut Lab| {
        lab.all(fail(FailKind::Refused), fail(FailKind::Refused))
            .capture(Some(flow([1, 0, 1, 0, 0, 0], false)), None);
    };
    let mut lab = Lab::of("\"dns:www.globex.example\"");
    stopped(&mut lab);
    // Something listens there by TCP, and names are asked for by UDP.
    lab.facts(9, true, &["0.0.0.0:53"]);
    says(&lab, Verdict::ServiceDown, "nobody listens on port 53 of web1");
    lab.facts(9, true, &["udp 192.0.2.31:53"]);
    says(&lab, Verdict::NotListening, "at other addresses, not at this one");
    assert_eq!(lab.judged().next.as_deref(), Some("ss -lun 'sport = :53'"));
    let mut lab = Lab::of("\"dns:www.globex.example\"");
    lab.globex(fail(FailKind::Refused), ok(9)).capture(Some(flow([1, 0, 0, 1, 0, 0], false)), None);
    says(&lab, Verdict::RejectedByFirewall, "a firewall on web1 refuses it");
}

#[test]
fn ssh_that_answers_or_was_not_asked_is_no_silence_of_the_host() {
    let down = |lab: &mut Lab, kind: FailKind, ssh, what| {
        lab.all(fail(kind), ok(9)).no_inside().ssh_fails("web1", ssh, what);
    };
    for kind in [FailKind::NoAnswer, FailKind::Silence] {
        let mut lab = Lab::of(HTTPS);
        down(&mut lab, kind, FailureKind::NoSession, "192.0.2.11:22 refuses connections");
        says(&lab, Verdict::Unknown, "refuses connections");
        down(&mut lab, kind, FailureKind::TimedOut, "no answer");
        assert!(matches!(lab.judged().verdict, Verdict::HostDown | Verdict::HostHung), "{:#?}", lab.judged());
    }
    // After a reboot it is silent at first, and then refuses.
    let mut lab = Lab::of(TCP);
    down(&mut lab, FailKind::NoAnswer, FailureKind::Unreachable, "no answer in 15s");
    let host: HostName = "web1".parse().expect("a host");
    HostEvent::NoSession { host: host.clone(), why: "refused".into() }.apply(&mut lab.state, 1, at(9));
    says(&lab, Verdict::Unknown, "web1 is not reached by ssh for 6s: refused");
    HostEvent::Lost { host, why: "no answer".into() }.apply(&mut lab.state, 1, at(10));
    says(&lab, Verdict::HostDown, "web1 is not reached by ssh for 6s: no answer");
    // Its ssh is silent, and it sees packets and tells of them.
    for (own, tally) in [(Some(flow([3, 0, 0, 0, 0, 0], false)), None), (None, Some((0, 0, 3, 0)))] {
        let mut lab = Lab::of(TCP);
        down(&mut lab, FailKind::NoAnswer, FailureKind::Unreachable, "no answer in 15s");
        lab.capture(own, tally);
        says(&lab, Verdict::DroppedOnHost, "SYN arrives");
    }
    let mut lab = Lab::of(TCP);
    down(&mut lab, FailKind::NoAnswer, FailureKind::Unreachable, "no answer in 15s");
    lab.capture(Some(Flow::default()), None);
    says(&lab, Verdict::HostDown, "nothing of web1 answers, ssh neither");
}

#[test]
fn a_firewall_of_the_host_is_named_where_its_refusal_was_seen() {
    let refused = || fail(FailKind::Refused);
    let mut lab = Lab::of(TCP);
    lab.globex(refused(), ok(9));
    // As it is where another machine has taken the address.
    says(&lab, Verdict::Unknown, "answers inside; whether web1 refuses it was not seen");
    lab.no_inside().facts(9, true, &["192.0.2.32:443"]);
    says(&lab, Verdict::Unknown, "somebody listens there; whether web1 refuses it was not seen");
    lab.capture(Some(flow([1, 0, 1, 0, 0, 0], false)), None);
    says(&lab, Verdict::RejectedByFirewall, "although somebody listens there: a firewall refuses it");
    // A socket for IPv6 alone is nobody's for this address; one for both is.
    lab.facts(9, true, &["[::]:443"]);
    says(&lab, Verdict::NotListening, "at other addresses, not at this one");
    lab.facts(9, true, &["*:443"]);
    says(&lab, Verdict::RejectedByFirewall, "although somebody listens there");
}

#[test]
fn one_packet_sent_again_and_an_inside_that_takes_as_long_prove_nothing() {
    let asked = |out: u32, again: u32| {
        let mut flow = flow([1, 1, 0, 0, 2, out], true);
        flow.again_out = again;
        Some(flow)
    };
    let mut lab = Lab::of(HTTPS);
    lab.globex(fail(FailKind::Silence), ok(9)).capture(asked(3, 1), None);
    says(&lab, Verdict::Unknown, "whether the service hangs is not known");
    let mut lab = Lab::of(HTTPS);
    lab.globex(fail(FailKind::Silence), ok(9)).capture(asked(3, 2), None);
    says(&lab, Verdict::ReplyLost, "leaves again and again");
    let mut lab = Lab::of(HTTPS);
    lab.globex(fail(FailKind::Silence), ok(1_500)).capture(asked(0, 0), None);
    says(&lab, Verdict::DroppedOnHost, "inside answers, and no answer leaves");
    let mut lab = Lab::of(HTTPS);
    lab.globex(fail(FailKind::Silence), ok(2_800)).capture(asked(0, 0), None);
    says(&lab, Verdict::ServiceHung, "inside it takes 2s800ms");
}

#[test]
fn what_is_no_failure_of_the_database_is_said_in_its_words() {
    let mut lab = Lab::of("\"postgres:globex\"");
    let why = "the server asks for a password, and none is known here";
    lab.globex(ok(9), ProbeOutcome::fail(FailKind::Other, why));
    says(&lab, Verdict::Unknown, "what that means is not known: the server asks for a password");
}

#[test]
fn what_fails_from_a_further_place_is_said_and_does_not_judge() {
    let mut lab = Lab::of(TCP);
    lab.saw(&id("globex", 0), &further(), &fail(FailKind::NoAnswer));
    says(&lab, Verdict::Reachable, "it answers here; it fails from outside (paris)");
    lab.saw(&id("globex", 0), &further(), &ok(9));
    says(&lab, Verdict::Reachable, "it answers as it should");
}
