//! Messages for links: a step's words as netlink attributes. Pure.

use netlink_packet_core::{DefaultNla, NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, GreIOFlags, In6AddrGenMode, InfoData, InfoGre, InfoKind, LinkAttribute,
    LinkInfo, LinkMessage,
};
use rtnetlink::{LinkGre, LinkMessageBuilder, LinkUnspec};

use super::message::request;
use super::socket::Request;
use crate::model::gre::{GRE_CSUM, GRE_KEY, GRE_SEQ};
use crate::model::marks::LINK_GROUP;
use crate::model::{DesiredLink, Gre};

/// `IFLA_GRE_IGNORE_DF` (linux/if_tunnel.h), which the crate does not know.
pub(super) const IFLA_GRE_IGNORE_DF: u16 = 19;

/// Makes the link, in the state down: an IPv6 address mode can only be set on a link that exists,
/// and only before it comes up ([`no_ipv6_addresses`], then [`up`]).
/// `vrf` is the VRF's ifindex. With `NLM_F_EXCL`: what is there already is never changed.
pub(super) fn create_link(link: &DesiredLink, index: u32, vrf: Option<u32>) -> Request {
    let builder = described(link).index(index).name(link.name.as_str());
    let builder = match vrf {
        Some(vrf) => builder.controller(vrf),
        None => builder,
    };
    request(
        RouteNetlinkMessage::NewLink(with_ignore_df(builder.build(), &link.gre)),
        NLM_F_CREATE | NLM_F_EXCL,
    )
}

/// Every attribute of the link again, since the kernel resets what is left out, and IFF_UP.
/// `vrf`: the VRF's ifindex, 0 to leave one, `None` where that stays as it is.
/// `rename` carries the name, too: only for a link whose name differs.
pub(super) fn change_link(link: &DesiredLink, index: u32, vrf: Option<u32>, rename: bool) -> Request {
    let mut builder = described(link).index(index).up();
    if rename {
        builder = builder.name(link.name.as_str());
    }
    if let Some(vrf) = vrf {
        builder = builder.controller(vrf);
    }
    request(RouteNetlinkMessage::NewLink(with_ignore_df(builder.build(), &link.gre)), 0)
}

/// The link makes no IPv6 address by itself, so that IPv6 has nothing to do on it. `EAFNOSUPPORT`
/// where it has no IPv6 at all.
pub(super) fn no_ipv6_addresses(index: u32) -> Request {
    let none = AfSpecInet6::AddrGenMode(In6AddrGenMode::None);
    let message = LinkUnspec::new_with_index(index)
        .append_extra_attribute(LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![none])]))
        .build();
    request(RouteNetlinkMessage::SetLink(message), 0)
}

pub(super) fn up(index: u32) -> Request {
    request(RouteNetlinkMessage::SetLink(LinkUnspec::new_with_index(index).up().build()), 0)
}

pub(super) fn down(index: u32) -> Request {
    request(RouteNetlinkMessage::SetLink(LinkUnspec::new_with_index(index).down().build()), 0)
}

pub(super) fn set_group(index: u32, group: u32) -> Request {
    request(RouteNetlinkMessage::SetLink(LinkUnspec::new_with_index(index).link_group(group).build()), 0)
}

pub(super) fn delete_link(index: u32) -> Request {
    request(RouteNetlinkMessage::DelLink(LinkUnspec::new_with_index(index).build()), 0)
}

/// Deletes every link of the group.
pub(super) fn delete_group(group: u32) -> Request {
    request(
        RouteNetlinkMessage::DelLink(LinkMessageBuilder::<LinkUnspec>::new().link_group(group).build()),
        0,
    )
}

/// What creation and change have in common. Whole on purpose: a new field must be placed.
fn described(link: &DesiredLink) -> LinkMessageBuilder<LinkGre> {
    let DesiredLink { name: _, gre, mtu, multicast, vrf: _ } = link;
    let Gre {
        local,
        remote,
        ikey,
        okey,
        iflags,
        oflags,
        ttl,
        tos,
        pmtudisc,
        ignore_df: _,
        fwmark,
        exotic: _,
    } = gre;
    let mut builder = LinkMessageBuilder::<LinkGre>::new_with_info_kind(InfoKind::GreTun)
        .local(*local)
        .remote(*remote)
        .iflags(io_flags(*iflags, *ikey))
        .oflags(io_flags(*oflags, *okey))
        .ttl(ttl.wire())
        .tos(tos.wire())
        .pmtudisc(*pmtudisc)
        .fwmark(*fwmark);
    if let Some(key) = *ikey {
        builder = builder.ikey(key);
    }
    if let Some(key) = *okey {
        builder = builder.okey(key);
    }
    builder.mtu(*mtu).link_group(LINK_GROUP).multicast(*multicast)
}

/// A key counts only with its flag.
fn io_flags(flags: u16, key: Option<u32>) -> GreIOFlags {
    let key = key.map_or(0, |_| GRE_KEY);
    GreIOFlags::from_bits_retain(flags & (GRE_CSUM | GRE_SEQ) | key)
}

fn with_ignore_df(mut message: LinkMessage, gre: &Gre) -> LinkMessage {
    for attribute in &mut message.attributes {
        let LinkAttribute::LinkInfo(infos) = attribute else { continue };
        for info in infos {
            if let LinkInfo::Data(InfoData::GreTun(data)) = info {
                let value = vec![u8::from(gre.ignore_df)];
                data.push(InfoGre::Other(DefaultNla::new(IFLA_GRE_IGNORE_DF, value)));
            }
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::NetlinkPayload;

    use super::*;
    use crate::model::{Link, LinkKind, LinkName, Tos, Ttl, Tuple};
    use crate::netlink::fold_link;

    fn desired() -> DesiredLink {
        let tuple = Tuple { local: [10, 0, 0, 1].into(), remote: [10, 9, 0, 1].into(), key: Some(0) };
        let gre = Gre {
            okey: Some(7),
            iflags: GRE_CSUM,
            oflags: GRE_SEQ,
            ttl: Ttl::Fixed(9),
            tos: Tos::Fixed(0xb8),
            pmtudisc: false,
            ignore_df: true,
            fwmark: 0x99,
            ..Gre::new(tuple)
        };
        DesiredLink { name: LinkName::new("gh-ams").unwrap(), gre, mtu: 1300, multicast: true, vrf: None }
    }

    /// The bytes as the kernel would read them, by the code that reads the kernel's.
    fn read_back(mut request: Request) -> (Link, u16) {
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        assert!(bytes.len() < 512, "a batch of them stays far below what a send can have");
        (fold_link::link(&bytes[16..]).unwrap(), request.header.flags)
    }

    fn expected(name: &str, up: bool, master: Option<u32>) -> Link {
        Link {
            index: 42,
            name: name.into(),
            kind: LinkKind::Gre(desired().gre),
            mtu: 1300,
            group: LINK_GROUP,
            up,
            multicast: true,
            master,
            addrgen_none: true,
        }
    }

    #[test]
    fn a_link_is_made_down_with_everything_and_exclusively() {
        let (link, flags) = read_back(create_link(&desired(), 42, Some(5)));
        assert_eq!(link, expected("gh-ams", false, Some(5)));
        assert_eq!(flags, NLM_F_CREATE | NLM_F_EXCL);
    }

    #[test]
    fn a_change_says_everything_again_and_creates_nothing() {
        let (link, flags) = read_back(change_link(&desired(), 42, None, false));
        assert_eq!(link, expected("", true, None));
        assert_eq!(flags & (NLM_F_CREATE | NLM_F_EXCL), 0);
        let (link, _) = read_back(change_link(&desired(), 42, Some(0), true));
        assert_eq!(link, expected("gh-ams", true, Some(0)));
    }

    #[test]
    fn no_key_is_sent_without_its_flag() {
        let mut link = desired();
        (link.gre.ikey, link.gre.okey) = (None, None);
        let (back, _) = read_back(create_link(&link, 42, None));
        assert_eq!(back.gre(), Some(&link.gre));
    }

    #[test]
    fn a_group_is_deleted_by_its_number_alone() {
        let NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(message)) = delete_group(9).payload
        else {
            panic!()
        };
        assert_eq!(message.header.index, 0);
        assert_eq!(message.attributes, [LinkAttribute::Group(9)]);
    }
}
