//! DNS: one query to the customer's own server, by UDP and, where the answer says that it is cut off, by TCP.
//!
//! IPv4 addresses are asked for, then IPv6 ones where the name has none. The id is random, the port is the
//! socket's own, and whatever is no answer to just that question is passed over.

use std::net::{IpAddr, SocketAddr};

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UdpSocket;

use super::dialer::{self, DialError};
use super::{Attempt, Deadline};
use crate::core::event::{FailKind, Phases, ProbeOutcome, Sighting};
use crate::types::Span;

/// Where name servers are.
pub(super) const PORT: u16 = 53;
/// Longer than what comes by UDP without being asked for; a longer datagram is cut.
const LONGEST: usize = 4_096;
/// Addresses that are said.
const SAID: usize = 3;

/// Asks the customer's address for the name.
pub(super) async fn attempt(address: Option<IpAddr>, port: u16, name: &str, timeout: Span) -> Attempt {
    let Some(address) = address else {
        return Attempt::broken("the customer has no address in the plan");
    };
    let deadline = Deadline::of(timeout);
    let peer = SocketAddr::new(address, port);
    let mut sighting = Sighting { peer: Some(peer), ..Sighting::default() };
    let mut outcome = None;
    for kind in [TYPE::A, TYPE::AAAA] {
        let mut id = [0; 2];
        if let Err(why) = super::random(&mut id) {
            return Attempt::broken(&why);
        }
        let query = Query { id: u16::from_be_bytes(id), name: name.trim_end_matches('.'), kind };
        let answer = match query.ask(peer, &deadline, &mut sighting).await {
            Ok(answer) => answer,
            Err(failed) => {
                outcome = Some(failed);
                break;
            }
        };
        let took = deadline.gone();
        sighting.phases = Phases { answered: Some(took), ..sighting.phases };
        match answer {
            Answer::Addresses(said) => outcome = Some(ProbeOutcome::Ok { took, said: said.into() }),
            Answer::Error(kind, why) => outcome = Some(ProbeOutcome::fail(kind, why)),
            Answer::Nothing => continue,
        }
        break;
    }
    let outcome =
        outcome.unwrap_or_else(|| ProbeOutcome::fail(FailKind::Command, format!("{name} has no address")));
    Attempt { outcome, sighting }
}

/// One question.
struct Query<'a> {
    id: u16,
    /// Without a dot at its end.
    name: &'a str,
    kind: TYPE,
}

/// What a message means for a question.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    Answer(Answer),
    /// It is cut off; the whole is to be had by TCP.
    Truncated,
}

/// What was answered.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// These addresses, in words.
    Addresses(String),
    /// There is such a name, without addresses of that kind.
    Nothing,
    Error(FailKind, String),
}

impl Query<'_> {
    async fn ask(
        &self,
        peer: SocketAddr,
        deadline: &Deadline,
        sighting: &mut Sighting,
    ) -> Result<Answer, ProbeOutcome> {
        let message = self.message().map_err(|why| ProbeOutcome::broken(format!("no query: {why}")))?;
        let (socket, local) = dialer::datagrams(peer).await.map_err(|error| super::failed(&error, ""))?;
        sighting.local = Some(local);
        socket.send(&message).await.map_err(|error| super::failed(&dialer::why(&error), ""))?;
        let mut strange = 0_u32;
        let heard = match deadline.within(self.hear(&socket, &mut strange)).await {
            Some(Ok(heard)) => heard,
            Some(Err(error)) => return Err(super::failed(&error, "")),
            None if strange > 0 => {
                let why = format!(
                    "no answer in {}; {strange} messages were answers to something else",
                    deadline.timeout
                );
                return Err(ProbeOutcome::fail(FailKind::NoAnswer, why));
            }
            None => return Err(super::failed(&DialError::TimedOut(deadline.timeout), "")),
        };
        match heard {
            Heard::Answer(answer) => Ok(answer),
            Heard::Truncated => self.ask_by_tcp(peer, &message, deadline, sighting).await,
        }
    }

    async fn hear(&self, socket: &UdpSocket, strange: &mut u32) -> Result<Heard, DialError> {
        let mut buffer = vec![0; LONGEST];
        loop {
            let length = socket.recv(&mut buffer).await.map_err(|error| dialer::why(&error))?;
            match self.heard(buffer.get(..length).unwrap_or_default()) {
                Some(heard) => return Ok(heard),
                None => *strange = strange.saturating_add(1),
            }
        }
    }

    /// The same over a connection, where each message has its length before it.
    async fn ask_by_tcp(
        &self,
        peer: SocketAddr,
        message: &[u8],
        deadline: &Deadline,
        sighting: &mut Sighting,
    ) -> Result<Answer, ProbeOutcome> {
        const AT: &str = "the answer is cut off, and by TCP: ";
        let dialed = dialer::dial(peer, deadline.left()).await;
        sighting.local = dialed.local;
        let mut stream = dialed.result.map_err(|error| super::failed(&error, AT))?;
        sighting.phases.connected = Some(deadline.gone());
        let talk = async {
            // A query of one name is far shorter than what two bytes can count.
            let length = u16::try_from(message.len()).unwrap_or(u16::MAX).to_be_bytes();
            stream.write_all(&[&length, message].concat()).await?;
            let mut answer = vec![0; usize::from(stream.read_u16().await?)];
            stream.read_exact(&mut answer).await.map(|_| answer)
        };
        let answer = match deadline.within(talk).await {
            Some(Ok(answer)) => answer,
            Some(Err(error)) => {
                return Err(ProbeOutcome::fail(FailKind::Cut, format!("{AT}{error}")));
            }
            None => {
                let why = format!("{AT}no answer in {}", deadline.timeout);
                return Err(ProbeOutcome::fail(FailKind::Silence, why));
            }
        };
        match self.heard(&answer) {
            Some(Heard::Answer(answer)) => Ok(answer),
            Some(Heard::Truncated) => {
                Err(ProbeOutcome::fail(FailKind::Content, format!("{AT}cut off as well")))
            }
            None => Err(ProbeOutcome::fail(FailKind::Content, format!("{AT}an answer to something else"))),
        }
    }

    fn message(&self) -> Result<Vec<u8>, simple_dns::SimpleDnsError> {
        let mut packet = Packet::new_query(self.id);
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
        let question =
            Question::new(Name::new(self.name)?, QTYPE::TYPE(self.kind), QCLASS::CLASS(CLASS::IN), false);
        packet.questions.push(question);
        packet.build_bytes_vec()
    }

    /// What this message says; `None` where it is no answer to this question.
    fn heard(&self, message: &[u8]) -> Option<Heard> {
        // Id, and the bit of an answer.
        let ours = message.get(..2) == Some(&self.id.to_be_bytes()) && message.get(2)? & 0x80 != 0;
        if !ours {
            return None;
        }
        let unreadable =
            || Heard::Answer(Answer::Error(FailKind::Content, "the answer can't be read".into()));
        // What is cut off need not be whole records.
        if message.get(2)? & 0x02 != 0 {
            return Some(Heard::Truncated);
        }
        let Ok(packet) = Packet::parse(message) else {
            return Some(unreadable());
        };
        let asked = |question: &Question<'_>| {
            question.qtype == QTYPE::TYPE(self.kind)
                && question.qname.to_string().trim_end_matches('.').eq_ignore_ascii_case(self.name)
        };
        let error = |kind, why: &str| Some(Heard::Answer(Answer::Error(kind, why.to_owned())));
        match (packet.rcode(), packet.questions.as_slice()) {
            // A server that could not read it, or does not want to, may leave the question out.
            (RCODE::NoError | RCODE::NameError, []) => return None,
            (_, []) => {}
            (_, [question]) if asked(question) => {}
            (_, _) => return None,
        }
        match packet.rcode() {
            RCODE::NoError => {}
            RCODE::NameError => return error(FailKind::Command, "there is no such name (NXDOMAIN)"),
            RCODE::ServerFailure => {
                return error(FailKind::ServerError, "the server can't answer (SERVFAIL)");
            }
            RCODE::Refused => return error(FailKind::ServerError, "the server won't answer (REFUSED)"),
            other => return error(FailKind::ServerError, &format!("the server answers with {other:?}")),
        }
        let address = |data: &RData<'_>| match (data, self.kind) {
            (RData::A(a), TYPE::A) => Some(IpAddr::from(a.address.to_be_bytes())),
            (RData::AAAA(aaaa), TYPE::AAAA) => Some(IpAddr::from(aaaa.address.to_be_bytes())),
            _ => None,
        };
        let found: Vec<String> =
            packet.answers.iter().filter_map(|r| address(&r.rdata)).map(|a| a.to_string()).collect();
        Some(Heard::Answer(match found.get(..SAID) {
            _ if found.is_empty() => Answer::Nothing,
            Some(first) if found.len() > SAID => {
                Answer::Addresses(format!("{} and {} more", first.join(", "), found.len() - SAID))
            }
            _ => Answer::Addresses(found.join(", ")),
        }))
    }
}

#[cfg(test)]
mod tests;
