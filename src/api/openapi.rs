//! The description of the API, made from the handlers and the data themselves.

use std::sync::OnceLock;

use utoipa::OpenApi;

use super::metrics::page;
use super::{events, routes, sessions};

/// As it is served.
pub fn text() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| serde_json::to_string(&Description::openapi()).unwrap_or_default())
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "greyhound",
        description = "HTTP on a unix socket. Reading is for root and greyhound's group, and for everybody with \
            `readers = \"all\"`; changing things is for root and the group. Every answer has the header \
            `greyhound-api`; every refusal is an `ErrorView`."
    ),
    paths(
        routes::status,
        routes::tunnels,
        routes::tunnel,
        routes::move_tunnel,
        routes::hold,
        routes::unhold,
        routes::latency,
        routes::pools,
        routes::leases,
        sessions::list,
        sessions::one,
        sessions::connect,
        sessions::disconnect,
        routes::plan,
        page::metrics,
        routes::version,
        events::stream,
        routes::history,
        routes::apply,
        routes::reload,
        routes::flush,
        routes::description
    ),
    components(schemas(super::dto::EventView, super::dto::LostView))
)]
struct Description;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_path_is_described_and_nothing_else() {
        let described: BTreeSet<String> = Description::openapi().paths.paths.into_keys().collect();
        let served: BTreeSet<String> = routes::table().into_iter().map(|(path, _)| path.to_owned()).collect();
        assert_eq!(described, served);
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let description: serde_json::Value = serde_json::from_str(text()).unwrap();
        let mut references =
            text().split("\"#").skip(1).map(|rest| rest.split('"').next().unwrap()).peekable();
        assert!(references.peek().is_some());
        for reference in references {
            assert!(description.pointer(reference).is_some(), "{reference}");
        }
    }
}
