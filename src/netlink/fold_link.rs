//! A link message into [`Link`]: only what greyhound looks at is decoded, so that what a crate
//! or a kernel does not know of other kinds of links is no error.

use netlink_packet_core::{
    DecodeError, DefaultNla, NLA_HEADER_SIZE, Nla, NlaBuffer, NlasIterator, Parseable, parse_u32,
};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::link::{AfSpecInet6, In6AddrGenMode, InfoGre, InfoVrf, LinkFlags, LinkHeader};

use super::fold::text;
use super::message_link::IFLA_GRE_IGNORE_DF;
use crate::model::gre::{GRE_CSUM, GRE_KEY, GRE_SEQ};
use crate::model::{Gre, Link, LinkKind, Tos, Ttl, Tuple};

/// `struct ifinfomsg` (linux/rtnetlink.h), in bytes.
const HEADER: usize = 16;
/// linux/if_link.h.
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_GROUP: u16 = 27;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_INET6_CONF: u16 = 2;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
const IN6_ADDR_GEN_MODE_NONE: i32 = 1;

/// Folds the payload of an `RTM_NEWLINK`.
pub(super) fn link(payload: &[u8]) -> Result<Link, DecodeError> {
    let header = LinkHeader::parse(payload)?;
    let mut link = Link {
        index: header.index,
        name: String::new(),
        kind: LinkKind::Other(String::new()),
        mtu: 0,
        group: 0,
        up: header.flags.contains(LinkFlags::Up),
        multicast: header.flags.contains(LinkFlags::Multicast),
        master: None,
        addrgen_none: true,
    };
    for nla in NlasIterator::new(payload.get(HEADER..).unwrap_or_default()) {
        let nla = nla?;
        match nla.kind() {
            IFLA_IFNAME => link.name = text(nla.value()),
            IFLA_MTU => link.mtu = parse_u32(nla.value())?,
            IFLA_GROUP => link.group = parse_u32(nla.value())?,
            IFLA_MASTER => link.master = Some(parse_u32(nla.value())?),
            IFLA_LINKINFO => link.kind = kind(nla.value())?,
            IFLA_AF_SPEC => link.addrgen_none = addrgen_none(nla.value())?,
            _ => {}
        }
    }
    Ok(link)
}

/// The kernel puts the kind before its data (`rtnl_link_fill`, net/core/rtnetlink.c).
fn kind(info: &[u8]) -> Result<LinkKind, DecodeError> {
    let mut kind = String::new();
    let mut data: &[u8] = &[];
    for nla in NlasIterator::new(info) {
        let nla = nla?;
        match nla.kind() {
            IFLA_INFO_KIND => kind = text(nla.value()),
            IFLA_INFO_DATA => data = value(nla),
            _ => {}
        }
    }
    Ok(match kind.as_str() {
        "gre" => LinkKind::Gre(gre(data)?),
        "gretap" | "erspan" => LinkKind::Gretap(gre(data)?),
        "vrf" => LinkKind::Vrf { table: vrf_table(data)? },
        _ => LinkKind::Other(kind),
    })
}

/// The kernel writes every attribute of a GRE link; 0 stands for what is not set, and the flags
/// say whether a key of 0 is one (`ipgre_fill_info`, net/ipv4/ip_gre.c).
fn gre(data: &[u8]) -> Result<Gre, DecodeError> {
    let any = std::net::Ipv4Addr::UNSPECIFIED;
    let mut gre = Gre::new(Tuple { local: any, remote: any, key: None });
    (gre.pmtudisc, gre.fwmark) = (false, 0);
    let (mut iflags, mut oflags, mut ikey, mut okey) = (0, 0, 0, 0);
    for nla in NlasIterator::new(data) {
        match InfoGre::parse(&nla?)? {
            InfoGre::IFlags(flags) => iflags = flags.bits(),
            InfoGre::OFlags(flags) => oflags = flags.bits(),
            InfoGre::IKey(key) => ikey = key,
            InfoGre::OKey(key) => okey = key,
            InfoGre::Local(local) => gre.local = local,
            InfoGre::Remote(remote) => gre.remote = remote,
            InfoGre::Ttl(ttl) => gre.ttl = Ttl::from_wire(ttl),
            InfoGre::Tos(tos) => gre.tos = Tos::from_wire(tos),
            InfoGre::PathMTUDiscovery(on) => gre.pmtudisc = on,
            InfoGre::FwMask(mark) => gre.fwmark = mark,
            InfoGre::Link(index) => gre.exotic |= index != 0,
            InfoGre::EncapType(encapsulation) => gre.exotic |= u16::from(&encapsulation) != 0,
            InfoGre::CollectMetadata => gre.exotic = true,
            InfoGre::ErSpanIndex(_) | InfoGre::ErSpanVer(_) => gre.exotic = true,
            InfoGre::ErSpanDir(_) | InfoGre::ErSpanHwId(_) => gre.exotic = true,
            InfoGre::Other(nla) => gre.ignore_df |= is_ignore_df(&nla),
            _ => {}
        }
    }
    gre.ikey = (iflags & GRE_KEY != 0).then_some(ikey);
    gre.okey = (oflags & GRE_KEY != 0).then_some(okey);
    gre.iflags = iflags & (GRE_CSUM | GRE_SEQ);
    gre.oflags = oflags & (GRE_CSUM | GRE_SEQ);
    gre.exotic |= (iflags | oflags) & !(GRE_CSUM | GRE_SEQ | GRE_KEY) != 0;
    Ok(gre)
}

fn is_ignore_df(nla: &DefaultNla) -> bool {
    let mut value = [0; 1];
    if nla.kind() != IFLA_GRE_IGNORE_DF || nla.value_len() != value.len() {
        return false;
    }
    nla.emit_value(&mut value);
    value[0] != 0
}

fn vrf_table(data: &[u8]) -> Result<u32, DecodeError> {
    for nla in NlasIterator::new(data) {
        if let InfoVrf::TableId(table) = InfoVrf::parse(&nla?)? {
            return Ok(table);
        }
    }
    Err("a VRF without a table".into())
}

/// The mode stands among the statistics, and those are left out of our dumps; the same number is
/// in the table of the link's IPv6 settings. Neither: no IPv6 on the link.
fn addrgen_none(families: &[u8]) -> Result<bool, DecodeError> {
    for family in NlasIterator::new(families) {
        let family = family?;
        if family.kind() != u16::from(u8::from(AddressFamily::Inet6)) {
            continue;
        }
        for nla in NlasIterator::new(family.value()) {
            let nla = nla?;
            if !matches!(nla.kind(), IFLA_INET6_CONF | IFLA_INET6_ADDR_GEN_MODE) {
                continue;
            }
            match AfSpecInet6::parse(&nla)? {
                AfSpecInet6::AddrGenMode(mode) => return Ok(mode == In6AddrGenMode::None),
                AfSpecInet6::DevConf(conf) => return Ok(conf.addr_gen_mode == IN6_ADDR_GEN_MODE_NONE),
                _ => {}
            }
        }
    }
    Ok(true)
}

fn value(nla: NlaBuffer<&[u8]>) -> &[u8] {
    let length = usize::from(nla.length());
    nla.into_inner().get(NLA_HEADER_SIZE..length).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::marks::LINK_GROUP;
    use crate::netlink::captured;

    fn folded(hex: &str) -> Link {
        link(&captured::bytes(hex)).unwrap()
    }

    #[test]
    fn every_attribute_of_a_gre_link_is_read() {
        let expected = Link {
            index: 6,
            name: "b2".into(),
            kind: LinkKind::Gre(Gre {
                local: [10, 0, 0, 1].into(),
                remote: [10, 0, 0, 3].into(),
                ikey: Some(5),
                okey: Some(6),
                iflags: GRE_CSUM | GRE_SEQ,
                oflags: GRE_CSUM | GRE_SEQ,
                ttl: Ttl::Fixed(9),
                tos: Tos::Inherit,
                pmtudisc: false,
                ignore_df: true,
                fwmark: 0x47,
                exotic: false,
            }),
            mtu: 1300,
            group: LINK_GROUP,
            up: true,
            multicast: true,
            master: Some(5),
            addrgen_none: false,
        };
        assert_eq!(folded(captured::GRE), expected);
    }

    #[test]
    fn gretap_is_another_kind() {
        let LinkKind::Gretap(gre) = folded(captured::GRETAP).kind else { panic!() };
        assert_eq!((gre.ikey, gre.okey, gre.exotic), (Some(1), Some(2), false));
        assert!(gre.pmtudisc && gre.fwmark == 0);
    }

    #[test]
    fn no_key_flag_is_no_key() {
        let gre0 = folded(captured::GRE0);
        let gre = gre0.gre().unwrap();
        assert_eq!((gre.ikey, gre.okey, gre.local.is_unspecified()), (None, None, true));
        assert!(gre0.addrgen_none, "it never had IPv6");
    }

    #[test]
    fn other_links_keep_the_kernels_word() {
        assert_eq!(folded(captured::VRF).kind, LinkKind::Vrf { table: 900 });
        let lo = folded(captured::LOOPBACK);
        assert_eq!((lo.name.as_str(), lo.kind), ("lo", LinkKind::Other(String::new())));
    }

    #[test]
    fn a_message_that_is_cut_off_is_an_error_or_less_and_never_a_panic() {
        let bytes = captured::bytes(captured::GRE);
        for length in 0..bytes.len() {
            let _ = link(&bytes[..length]);
        }
        assert!(link(&bytes[..10]).is_err());
    }
}
