//! TOML into entries of the file: syntax, unknown keys and types, every fault of them reported.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue, ValueDeserializer};

use super::at::Span;
use super::diagnostics::{Problem, Sink};
use super::{nearest, raw, schema};

/// The entries of a file, in their order.
#[derive(Debug, Default)]
pub struct Document {
    pub daemon: Entry<raw::Daemon>,
    pub probe: Entry<raw::Probe>,
    /// `None`: nobody is answered.
    pub reflector: Option<Entry<raw::Reflector>>,
    /// `None`: this host shares none.
    pub inventory: Option<Entry<raw::Inventory>>,
    /// `None`: metrics are served by the API's socket alone.
    pub metrics: Option<Entry<raw::Metrics>>,
    pub host: Option<Entry<raw::Host>>,
    pub device: Option<Entry<raw::Device>>,
    pub filter: Entry<raw::Filter>,
    pub pools: Vec<Entry<raw::Pool>>,
    pub tunnels: Vec<Entry<raw::Tunnel>>,
}

/// One table of the file.
#[derive(Debug, Default)]
pub struct Entry<T> {
    pub raw: T,
    pub header: Span,
    /// Keys that are there, misspelt or with a value of a wrong type. Reported, and absent from `raw`.
    broken: BTreeSet<String>,
    section: &'static str,
}

/// Reads what can be read. A text that is not TOML gives no entries.
pub fn read(text: &str, sink: &mut Sink) -> Document {
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let span = error.span().unwrap_or_default();
        let help = "each line is `key = value` (texts in double quotes), or a header: [daemon], [probe], [reflector], [inventory], [metrics], [host], [device], [filter], [[pool]] or [[tunnel]]";
        sink.push(Problem::new(&span, format!("this is not TOML: {}", error.message()), help));
    }
    let mut document = Document::default();
    if errors.is_empty() {
        let mut root = root.into_inner();
        if refuse_unknown::<raw::File>(&mut root, "", sink).contains("pool") {
            document.pools.push(unreadable("pool", Span::default()));
        }
        for (key, value) in root {
            match key.as_ref().as_ref() {
                "daemon" => document.daemon = entry(value, "daemon", sink),
                "probe" => document.probe = entry(value, "probe", sink),
                "reflector" => document.reflector = Some(entry(value, "reflector", sink)),
                "inventory" => document.inventory = Some(entry(value, "inventory", sink)),
                "metrics" => document.metrics = Some(entry(value, "metrics", sink)),
                "host" => document.host = Some(entry(value, "host", sink)),
                "device" => document.device = Some(entry(value, "device", sink)),
                "filter" => document.filter = entry(value, "filter", sink),
                "pool" => document.pools = entries(value, "pool", sink),
                _ => document.tunnels = entries(value, "tunnel", sink),
            }
        }
    }
    document
}

impl<T> Entry<T> {
    /// Reports a key that must be there and is not.
    pub fn required<'a, V>(&self, key: &str, value: Option<&'a V>, sink: &mut Sink) -> Option<&'a V> {
        if value.is_none() && !self.broken.contains(key) {
            let message = format!("this {} has no `{key}`", written(self.section));
            sink.push(Problem::new(&self.header, message, schema::describe(self.section, key)));
        }
        value
    }

    /// Is the key there, and of no use? Then nothing is known of it, not even its default.
    pub fn is_broken(&self, key: &str) -> bool {
        self.broken.contains(key)
    }
}

/// The header of a section.
fn written(section: &str) -> String {
    match section {
        "daemon" | "probe" | "reflector" | "inventory" | "metrics" | "host" | "device" | "filter" => {
            format!("[{section}]")
        }
        _ => format!("[[{section}]]"),
    }
}

type Key<'t> = Spanned<DeString<'t>>;
type Value<'t> = Spanned<DeValue<'t>>;

fn entries<'t, T>(value: Value<'t>, section: &'static str, sink: &mut Sink) -> Vec<Entry<T>>
where
    T: Deserialize<'t> + Default,
{
    let span = value.span();
    let DeValue::Array(list) = value.into_inner() else {
        let message = format!("`{section}` is not a list of tables");
        sink.push(Problem::new(&span, message, format!("write the header as [[{section}]]")));
        return vec![unreadable(section, span)];
    };
    list.into_iter().map(|value| entry(value, section, sink)).collect()
}

fn entry<'t, T>(value: Value<'t>, section: &'static str, sink: &mut Sink) -> Entry<T>
where
    T: Deserialize<'t> + Default,
{
    let header = value.span();
    let DeValue::Table(mut table) = value.into_inner() else {
        let write = written(section);
        let help = format!("write the header {write} on a line of its own, and `key = value` lines below it");
        sink.push(Problem::new(&header, format!("`{section}` is not a table"), help));
        return unreadable(section, header);
    };
    let mut broken = refuse_unknown::<T>(&mut table, section, sink);
    let raw = deserialize(table.clone(), &header).unwrap_or_else(|_| {
        take_broken::<T>(&mut table, section, &mut broken, sink);
        deserialize(table, &header).unwrap_or_default()
    });
    Entry { raw, header, broken, section }
}

/// An entry of which nothing is known, so that no check builds on its absence.
fn unreadable<'t, T>(section: &'static str, header: Span) -> Entry<T>
where
    T: Deserialize<'t> + Default,
{
    let broken = keys_of::<T>().iter().map(|key| (*key).to_owned()).collect();
    Entry { raw: T::default(), header, broken, section }
}

/// Takes out and reports the keys that `T` does not know. Returns those that were meant.
fn refuse_unknown<'t, T: Deserialize<'t>>(
    table: &mut DeTable<'t>,
    section: &str,
    sink: &mut Sink,
) -> BTreeSet<String> {
    let known = keys_of::<T>();
    let place = match section {
        "" => "the file".to_owned(),
        _ => written(section),
    };
    let mut meant = BTreeSet::new();
    let keep = |(key, _): &(Key<'t>, Value<'t>)| {
        let text: &str = key.as_ref();
        if known.contains(&text) {
            return true;
        }
        let near = nearest::nearest(text, known);
        let help = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("{place} has {}", nearest::list(known)),
        };
        sink.push(Problem::new(&key.span(), format!("{place} has no key {text:?}"), help));
        meant.extend(near.map(str::to_owned));
        false
    };
    *table = std::mem::take(table).into_iter().filter(keep).collect();
    meant
}

/// Takes out and reports the keys whose values are of a wrong type. No key is mandatory to serde,
/// so each can be tried alone.
fn take_broken<'t, T: Deserialize<'t>>(
    table: &mut DeTable<'t>,
    section: &str,
    broken: &mut BTreeSet<String>,
    sink: &mut Sink,
) {
    let keep = |(key, value): &(Key<'t>, Value<'t>)| {
        let alone = DeTable::from_iter([(key.clone(), value.clone())]);
        let Err(error) = deserialize::<T>(alone, &value.span()) else { return true };
        let span = error.span().filter(|span| !span.is_empty()).unwrap_or(value.span());
        let key: &str = key.as_ref();
        let message = format!("`{key}` has the wrong type: {}", in_plain_words(error.message()));
        sink.push(Problem::new(&span, message, schema::describe(section, key)));
        broken.insert(key.to_owned());
        false
    };
    *table = std::mem::take(table).into_iter().filter(keep).collect();
}

/// serde's sentence without its words for Rust's types.
fn in_plain_words(message: &str) -> String {
    // What is quoted from the file comes before the last comma, and may hold any word.
    let (given, expected) = message.rsplit_once(", ").unwrap_or(("", message));
    let given = given.trim_start_matches("invalid type: ").trim_end_matches(" as i128");
    let given = match given {
        "sequence" => "a list",
        "map" => "a table",
        other => other,
    };
    let expected = match expected {
        "expected i64" => "expected a whole number",
        "expected a sequence" => "expected a list of strings",
        other => other,
    };
    format!("{given}, {expected}")
}

fn deserialize<'t, T: Deserialize<'t>>(table: DeTable<'t>, span: &Span) -> Result<T, toml::de::Error> {
    T::deserialize(ValueDeserializer::from(Spanned::new(span.clone(), DeValue::Table(table))))
}

/// The keys of a struct, as its `Deserialize` asks for them.
fn keys_of<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    let mut keys: &'static [&'static str] = &[];
    // It always errors: the keys are all that is wanted.
    let _ = T::deserialize(KeysOf(&mut keys));
    keys
}

struct KeysOf<'k>(&'k mut &'static [&'static str]);

impl<'de> Deserializer<'de> for KeysOf<'_> {
    type Error = de::value::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = fields;
        Err(de::Error::custom("only the keys"))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Self::Error> {
        Err(de::Error::custom("not a struct"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
