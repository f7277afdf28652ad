//! Whose a reply is, or a complaint, or the timestamp of a departure. Pure.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use super::Book;
use crate::model::Method;
use crate::probe::icmp::{Echo, Heard, Quoted};
use crate::probe::moment::Moment;
use crate::probe::ntp::Timestamp;
use crate::probe::refusal::Cause;
use crate::probe::session::{Oddity, Returned, Verdict};
use crate::probe::stamp::{Reply, Request};

impl Book {
    /// The kernel sent this echo, and when.
    pub fn echo_left(&mut self, echo: &Echo, at: Duration) {
        if let Some(entry) = self.entry(echo.session) {
            entry.session.left(echo.sequence, at);
        }
    }

    /// The same for a STAMP packet.
    pub fn stamp_left(&mut self, to: Ipv4Addr, request: &Request, at: Duration) {
        let number = self.bearer(to, request.sequence, request.timestamp);
        if let Some(entry) = number.and_then(|number| self.entry(number)) {
            entry.session.left(request.sequence, at);
        }
    }

    /// What the raw socket heard. `came`: the kernel's timestamp of it.
    pub fn heard(&mut self, now: Moment, heard: &Heard, came: Option<Duration>) {
        match heard {
            // Others on this host ping too.
            Heard::Reply { ident, .. } if *ident != self.ident => {}
            Heard::Reply { from, echo, .. } => self.echoed(now, *from, echo.as_ref(), came),
            Heard::Error { from, cause, quoted } => self.complained(*from, *cause, quoted),
        }
    }

    fn echoed(&mut self, now: Moment, from: Ipv4Addr, echo: Option<&Echo>, came: Option<Duration>) {
        let theirs = echo.filter(|echo| {
            self.entries.get(echo.session as usize).is_some_and(|entry| {
                entry.as_ref().is_some_and(|entry| {
                    entry.session.target.address == from && entry.session.method == Method::Icmp
                })
            })
        });
        if let Some(echo) = theirs {
            return self.returned(now, echo.session, Returned::Echo(echo), came);
        }
        match self.places.get(&(from, Method::Icmp)).and_then(|numbers| numbers.first().copied()) {
            Some(number) => self.odd(number, Oddity::Forged),
            None => Oddity::Foreign.count(&mut self.others),
        }
    }

    fn complained(&mut self, who: Ipv4Addr, cause: Cause, quoted: &Quoted) {
        if quoted.ident != self.ident {
            return;
        }
        let numbers = self.places.get(&(quoted.to, Method::Icmp)).cloned().unwrap_or_default();
        let found = match &quoted.echo {
            Some(echo) => {
                let genuine = echo.cookie == self.key.echo(quoted.to, echo.session, echo.sequence);
                genuine.then_some((echo.session, echo.sequence))
            }
            None => numbers
                .iter()
                .find_map(|number| Some((*number, self.session(*number)?.waiting_with(quoted.low)?))),
        };
        match (found, numbers.first()) {
            (Some((number, sequence)), _) => self.refused(number, sequence, cause.said_by(who)),
            (None, Some(number)) => self.odd(*number, Oddity::Forged),
            (None, None) => Oddity::Foreign.count(&mut self.others),
        }
    }

    /// What the UDP socket received.
    pub fn received(&mut self, now: Moment, from: SocketAddrV4, bytes: &[u8], came: Option<Duration>) {
        let asked =
            self.places.get(&(*from.ip(), Method::Stamp)).and_then(|numbers| numbers.first().copied());
        let Some(asked) = asked else { return Oddity::Foreign.count(&mut self.others) };
        let Some(reply) = Reply::decode(bytes) else { return self.odd(asked, Oddity::Forged) };
        let bearer = self.bearer(*from.ip(), reply.sender_sequence, reply.sender_timestamp);
        let number = bearer.unwrap_or(asked);
        if self.entry(number).is_some_and(|entry| entry.port == from.port()) {
            self.returned(now, number, Returned::Stamp(&reply), came);
        } else {
            self.odd(number, Oddity::Forged);
        }
    }

    /// An ICMP error about a STAMP packet: whom it was for, and what is quoted of it, which may be nothing.
    pub fn undelivered(&mut self, to: Ipv4Addr, quoted: &[u8], cause: Cause, who: Ipv4Addr) {
        let numbers = self.places.get(&(to, Method::Stamp)).cloned().unwrap_or_default();
        let found = match Request::decode(quoted) {
            Some(request) => {
                self.bearer(to, request.sequence, request.timestamp).map(|number| (number, request.sequence))
            }
            // 8 bytes of a datagram are no more than its ports, which the kernel has compared.
            None => {
                numbers.iter().find_map(|number| Some((*number, self.session(*number)?.oldest_waiting()?)))
            }
        };
        if let Some((number, sequence)) = found {
            self.refused(number, sequence, cause.said_by(who));
        }
    }

    fn returned(&mut self, now: Moment, number: u32, returned: Returned<'_>, came: Option<Duration>) {
        let Some(Some(entry)) = self.entries.get_mut(number as usize) else { return };
        if let Verdict::Ended(sample) = entry.session.receive(&self.key, number, now, returned, came) {
            self.report(number, sample);
        }
    }

    /// The session that sent a STAMP packet.
    fn bearer(&self, to: Ipv4Addr, sequence: u32, timestamp: Timestamp) -> Option<u32> {
        let numbers = self.places.get(&(to, Method::Stamp))?;
        let bears =
            |number: &&u32| self.session(**number).is_some_and(|session| session.bears(sequence, timestamp));
        numbers.iter().find(bears).copied()
    }

    fn odd(&mut self, number: u32, oddity: Oddity) {
        if let Some(entry) = self.entry(number) {
            oddity.count(&mut entry.session.oddities);
        }
    }
}
