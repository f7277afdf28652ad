//! Commands that put a setting of the kernel right, for now and for the next boot. Pure.

use crate::model::sysctl;

/// What is read behind the package's 60-greyhound.conf. A file of that very name would hide it (sysctl.d(5)).
const FILE: &str = "/etc/sysctl.d/61-greyhound-local.conf";

/// A setting, or one of a link that others make.
pub fn set(name: &str, value: u8) -> String {
    format!("sysctl -w {name}={value}; {}", keep(name, value))
}

/// A setting of a tunnel's link. The tunnel may be made anew, long after boot, and udev is told to leave its links
/// alone: what lasts is what new links begin with.
pub fn set_of_tunnel(link: &str, key: &str, value: u8) -> String {
    let (now, begin) = (sysctl::of_link(link, key), sysctl::of_link("default", key));
    format!("sysctl -w {now}={value} {begin}={value}; {}", keep(&begin, value))
}

fn keep(name: &str, value: u8) -> String {
    format!("echo {name}={value} >>{FILE}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cure_holds_now_and_after_the_next_boot_and_hides_no_file_of_the_package() {
        let of_a_link = set(&sysctl::of_link("eth0.100", "rp_filter"), 2);
        assert_eq!(
            of_a_link,
            "sysctl -w net/ipv4/conf/eth0.100/rp_filter=2; \
             echo net/ipv4/conf/eth0.100/rp_filter=2 >>/etc/sysctl.d/61-greyhound-local.conf"
        );
        let shipped = include_str!("../../Cargo.toml");
        assert!(shipped.contains("sysctl.d/60-greyhound.conf"), "the package's file has another name");
        assert!(!shipped.contains("61-greyhound-local.conf"));
    }

    #[test]
    fn a_tunnel_that_is_made_anew_begins_with_what_was_set() {
        assert_eq!(
            set_of_tunnel("gh-ams", "rp_filter", 2),
            "sysctl -w net/ipv4/conf/gh-ams/rp_filter=2 net/ipv4/conf/default/rp_filter=2; \
             echo net/ipv4/conf/default/rp_filter=2 >>/etc/sysctl.d/61-greyhound-local.conf"
        );
    }
}
