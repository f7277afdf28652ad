//! The JSON schema of the file, for editors and for whoever generates declarations.

use std::sync::LazyLock;

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use super::raw;

/// The JSON schema of the file. It says what a key takes; the checks between keys are `parse`'s.
pub fn schema() -> Value {
    schemars::schema_for!(raw::File).to_value()
}

/// What to write for a key of a section, as the schema describes it.
pub fn describe(section: &str, key: &str) -> String {
    let schema = &*SCHEMA;
    let properties = match section {
        "" => schema.pointer("/properties"),
        "daemon" => schema.pointer("/$defs/Daemon/properties"),
        "probe" => schema.pointer("/$defs/Probe/properties"),
        "reflector" => schema.pointer("/$defs/Reflector/properties"),
        "inventory" => schema.pointer("/$defs/Inventory/properties"),
        "metrics" => schema.pointer("/$defs/Metrics/properties"),
        "host" => schema.pointer("/$defs/Host/properties"),
        "device" => schema.pointer("/$defs/Device/properties"),
        "filter" => schema.pointer("/$defs/Filter/properties"),
        "pool" => schema.pointer("/$defs/Pool/properties"),
        _ => schema.pointer("/$defs/Tunnel/properties"),
    };
    let description = properties.and_then(|keys| keys.get(key)?.get("description")?.as_str());
    description.map(|text| format!("`{key}`: {text}")).unwrap_or_default()
}

/// Kept for `describe`: a file may have a great many faults.
static SCHEMA: LazyLock<Value> = LazyLock::new(schema);

const SLUG: &str = "[a-z0-9][a-z0-9_-]";
const SPAN: &str = "^[0-9]+(ms|[smhd])$";
const ADDRESS: &str = r"[0-9]{1,3}(\.[0-9]{1,3}){3}";

macro_rules! forms {
    ($($name:ident => $form:tt)*) => {
        $(pub fn $name(_: &mut SchemaGenerator) -> Schema {
            json_schema!($form)
        })*
    };
}

forms! {
    socket => { "type": "string", "pattern": "^/", "maxLength": 107, "default": super::SOCKET }
    state_dir => { "type": "string", "pattern": "^/", "default": super::STATE_DIR }
    loopback => { "type": "string", "pattern": "^[^\\s/:]{1,12}$", "default": crate::model::LOOPBACK }
    rest => { "type": "string", "pattern": "^[0-9]+[smhd]$", "default": "1h" }
    readers => { "type": "string", "enum": ["group", "all"], "default": "group" }
    group => { "type": "string", "minLength": 1, "default": super::GROUP }
    role => { "type": "string", "enum": ["host", "edge"], "default": "host" }
    methods => { "type": "array", "items": { "type": "string", "enum": ["icmp", "stamp"] }, "minItems": 1,
        "uniqueItems": true, "default": ["icmp", "stamp"] }
    interval => { "type": "string", "pattern": SPAN, "default": "10s" }
    port => { "type": "integer", "minimum": 1, "maximum": 65535, "default": 862 }
    probes => { "type": "integer", "minimum": 10, "maximum": 100_000, "default": 2000 }
    margin => { "type": "string", "pattern": SPAN, "default": "5ms" }
    percent => { "type": "integer", "minimum": 0, "maximum": 99, "default": 20 }
    hold => { "type": "string", "pattern": SPAN, "default": "30s" }
    hold_down => { "type": "string", "pattern": SPAN, "default": "60s" }
    liveness_interval => { "type": "string", "pattern": SPAN }
    liveness_multiplier => { "type": "integer", "minimum": 3, "maximum": 20 }
    allow => { "type": "array", "items": prefix_form(true), "minItems": 1 }
    answers => { "type": "integer", "minimum": 1, "maximum": 100_000, "default": 100 }
    listen => { "type": "string", "pattern": r"^([0-9]{1,3}(\.[0-9]{1,3}){3}|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$" }
    inventory_path => { "type": "string", "pattern": "^/.*[^/]$" }
    host_name => { "type": "string", "pattern": "^[a-z0-9][a-z0-9._-]{0,39}$" }
    host_routes => { "oneOf": [{ "const": "inventory" }, { "type": "array", "items": prefix_form(false) }],
        "default": [] }
    near => { "type": "string", "pattern": SPAN, "default": "5ms" }
    code => { "type": "string", "pattern": format!("^{SLUG}{{0,15}}$") }
    text => { "type": "string", "default": "" }
    interface => { "type": "string", "minLength": 1, "default": crate::model::LOOPBACK }
    terminations => { "type": "integer", "minimum": 2, "maximum": 1024 }
    sharing => { "type": "string", "enum": ["exclusive", "per-client"], "default": "exclusive" }
    max_sessions => { "type": "integer", "minimum": 0, "maximum": 1_000_000 }
    filter => { "type": "boolean" }
    filter_allow => { "type": "array", "items": prefix_form(true), "default": [] }
    pool_name => { "type": "string", "pattern": format!("^{SLUG}{{0,31}}$") }
    purpose => { "type": "string", "enum": ["termination", "overlay", "client"] }
    tier => { "type": "string", "enum": ["primary", "reserve"], "default": "primary" }
    ranges => { "type": "array", "items": range_form(), "minItems": 1 }
    quota => { "type": "integer", "minimum": 1, "maximum": 1_u64 << 32 }
    exclude => { "type": "array", "items": range_form(), "default": [] }
    tunnel_name => { "type": "string", "pattern": format!("^{SLUG}{{0,11}}$") }
    kind => { "type": "string", "enum": ["unicast", "multicast"] }
    local => { "type": "string", "pattern": format!("^(auto|{ADDRESS})$") }
    pool => { "type": "string", "pattern": format!("^{SLUG}{{0,31}}$") }
    remote => { "oneOf": [address_form(), {
        "type": "array", "items": address_form(), "minItems": 1, "maxItems": 64, "uniqueItems": true
    }] }
    overlay => { "type": "string", "pattern": format!("^{ADDRESS}/3[01]$") }
    routes => { "type": "array", "items": prefix_form(false), "default": [] }
    groups => { "type": "array", "items": prefix_form(true), "default": [] }
    ttl => { "oneOf": [{ "type": "integer", "minimum": 1, "maximum": 255 }, { "const": "inherit" }], "default": 64 }
    tos => { "oneOf": [
        { "type": "integer", "minimum": 0, "maximum": 254, "multipleOf": 2 }, { "const": "inherit" }
    ], "default": 0 }
    key => { "oneOf": [{ "type": "integer", "minimum": 0, "maximum": u32::MAX },
        { "type": "string", "pattern": format!("^([0-9]+|{ADDRESS})$") }] }
    mtu => { "type": "integer", "minimum": 68, "maximum": 65511 }
    yes => { "type": "boolean", "default": true }
    no => { "type": "boolean", "default": false }
    vrf => { "type": "string", "pattern": "^[^\\s/:]{1,15}$" }
    metric => { "type": "integer", "minimum": 0, "maximum": u32::MAX, "default": 0 }
    client => { "type": "string", "pattern": format!("^{ADDRESS}$") }
}

fn address_form() -> Value {
    serde_json::json!({ "type": "string", "pattern": format!("^{ADDRESS}$") })
}

fn range_form() -> Value {
    let pattern = format!("^{ADDRESS}(/[0-9]{{1,2}}| *- *{ADDRESS})?$");
    serde_json::json!({ "type": "string", "pattern": pattern })
}

fn prefix_form(bare: bool) -> Value {
    let optional = if bare { "?" } else { "" };
    serde_json::json!({ "type": "string", "pattern": format!("^{ADDRESS}(/[0-9]{{1,2}}){optional}$") })
}
