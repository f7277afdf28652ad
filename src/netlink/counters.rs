//! What links have carried, without the rest of their attributes.

use std::collections::{BTreeMap, BTreeSet};

use netlink_packet_core::NlasIterator;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::stats::{StatsFilterMask, StatsHeader, StatsMessage};

use super::error::Error;
use super::socket::Transport;
use crate::model::Counters;

/// linux/rtnetlink.h, linux/if_link.h.
const RTM_NEWSTATS: u16 = 92;
const IFLA_STATS_LINK_64: u16 = 1;
/// `struct if_stats_msg` (linux/if_link.h), in bytes.
const HEADER: usize = 12;

/// By ifindex, of those links that are there.
pub(super) fn counters(
    transport: &mut Transport,
    wanted: &BTreeSet<u32>,
) -> Result<BTreeMap<u32, Counters>, Error> {
    let name = "dump of the counters";
    let mut message = StatsMessage::default();
    message.header.filter_mask = StatsFilterMask::Link64;
    transport.dump(name, &RouteNetlinkMessage::GetStats(message), |counters, answer| {
        if answer.kind != RTM_NEWSTATS {
            return Ok(());
        }
        let index = StatsHeader::parse(answer.payload).map_err(Error::decode(name))?.ifindex;
        if wanted.contains(&index)
            && let Some(counted) = counted(answer.payload)
        {
            BTreeMap::insert(counters, index, counted);
        }
        Ok(())
    })
}

fn counted(payload: &[u8]) -> Option<Counters> {
    let attributes = NlasIterator::new(payload.get(HEADER..)?).filter_map(Result::ok);
    let attribute = attributes.into_iter().find(|nla| nla.kind() == IFLA_STATS_LINK_64)?;
    let mut words = attribute.value().chunks_exact(size_of::<u64>()).map_while(|word| word.try_into().ok());
    let mut next = || words.next().map(u64::from_ne_bytes);
    // In the order of `struct rtnl_link_stats64` (linux/if_link.h).
    Some(Counters {
        rx_packets: next()?,
        tx_packets: next()?,
        rx_bytes: next()?,
        tx_bytes: next()?,
        rx_errors: next()?,
        tx_errors: next()?,
    })
}
