//! The names of this host's settings, as sysctl(8), sysctl.d(5) and `/proc/sys` all take them.
//!
//! They are written with slashes. Between dots the name of a link such as `eth0.100` would fall apart into two.

/// Whether the host forwards at all (Documentation/networking/ip-sysctl.rst).
pub const FORWARD: &str = "net/ipv4/ip_forward";

/// `rp_filter` of a link, or of `all`: 0 off, 1 strict, 2 loose. The larger of the two holds.
pub const STRICT: u8 = 1;

/// An IPv4 setting of a link; `all` and `default` stand in the place of one.
pub fn of_link(link: &str, key: &str) -> String {
    format!("net/ipv4/conf/{link}/{key}")
}

/// Is the reverse path filter of this link strict, by what a setting's name says of it?
pub fn is_strict(link: &str, value: impl Fn(&str) -> Option<u8>) -> bool {
    let of = |link: &str| value(&of_link(link, "rp_filter")).unwrap_or(0);
    of(link).max(of("all")) == STRICT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_whose_name_has_a_dot_stays_one_word() {
        assert_eq!(of_link("eth0.100", "rp_filter"), "net/ipv4/conf/eth0.100/rp_filter");
    }

    #[test]
    fn the_larger_of_the_links_filter_and_that_of_all_holds() {
        for (own, all, strict) in
            [(1, 0, true), (0, 1, true), (1, 1, true), (2, 1, false), (1, 2, false), (0, 0, false)]
        {
            let value = |name: &str| Some(if name == "net/ipv4/conf/all/rp_filter" { all } else { own });
            assert_eq!(is_strict("eth0.100", value), strict, "{own} {all}");
        }
        assert!(!is_strict("eth0", |_| None), "what cannot be read is not strict");
    }
}
