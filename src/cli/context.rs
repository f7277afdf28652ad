//! What every verb starts from: the declaration, the store, the kernel.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::output;
use crate::config::{self, Config, Diagnostics};
use crate::filter::Filter;
use crate::netlink::Netlink;
use crate::reconcile::{self, Goal, Look, Turn};
use crate::store::State;

/// Where the declaration is read from when nothing else is said.
pub const CONFIG: &str = "/etc/greyhound/greyhound.toml";

/// The global options.
#[derive(Clone, Debug)]
pub struct Context {
    /// The declaration, when one was named.
    pub config: Option<PathBuf>,
    /// The daemon's socket, when one was named.
    pub socket: Option<PathBuf>,
    pub json: bool,
}

/// A declaration, or word that it is wrong and was shown to be.
pub enum Declaration {
    Good(Box<Config>),
    Bad,
}

/// A declaration as it was read: good, or with its mistakes.
pub type Checked = Result<Box<Config>, Diagnostics>;

impl Context {
    /// The declaration's file.
    pub fn file(&self) -> &Path {
        self.config.as_deref().unwrap_or(Path::new(CONFIG))
    }

    /// Reads and checks the declaration of `--config`; mistakes are printed.
    pub fn declaration(&self) -> anyhow::Result<Declaration> {
        self.shown(self.file(), read(self.file())?)
    }

    /// The mistakes of a declaration are printed.
    pub fn shown(&self, file: &Path, checked: Checked) -> anyhow::Result<Declaration> {
        match checked {
            Ok(config) => Ok(Declaration::Good(config)),
            Err(problems) if self.json => {
                output::json(&serde_json::json!({ "file": file, "problems": problems }))?;
                Ok(Declaration::Bad)
            }
            Err(problems) => {
                anstream::eprintln!("{}", problems.render(true));
                Ok(Declaration::Bad)
            }
        }
    }

    /// A copy of the store, to look at and to try things on; an absent store is an empty one.
    pub fn copy(&self, config: &Config) -> anyhow::Result<State> {
        let directory = &config.daemon.state_dir;
        State::open_copy(directory)
            .with_context(|| format!("the state in {} cannot be used", directory.display()))
    }

    /// The store, to be written to.
    pub fn state(&self, config: &Config) -> anyhow::Result<State> {
        let directory = &config.daemon.state_dir;
        let mut state = State::open(directory)
            .with_context(|| format!("the state in {} cannot be used", directory.display()))?;
        if let Some(notice) = state.notice() {
            anstream::eprintln!("{notice}");
        }
        reconcile::take_home(&mut state, directory)?;
        Ok(state)
    }

    /// Looks at the kernel and works out what would change, on a copy of the store; changes nothing.
    pub fn look(&self, config: &Config, state: &mut State) -> anyhow::Result<Look> {
        let goal = Goal { config, flush: false, orphans: false };
        let (kernel, filter) = (&mut Netlink::open()?, &mut Filter::default());
        Ok(Turn { goal, kernel, state, filter }.look(reconcile::now())?)
    }
}

/// The declaration with the tunnels of this host's sessions, as the daemon knew them last: for who does without one.
pub fn with_sessions(config: Config) -> anyhow::Result<Config> {
    Ok(reconcile::part::with_kept(config)?)
}

/// Reads and checks a declaration. An error: it cannot be read.
pub fn read(file: &Path) -> anyhow::Result<Checked> {
    Ok(config::parse_bytes(&bytes(file)?, &file.display().to_string()).map(Box::new))
}

fn bytes(file: &Path) -> anyhow::Result<Vec<u8>> {
    match reconcile::read_declaration(file) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => anyhow::bail!(
            "cannot read {}: No such file or directory: write one (docs: README), or name another with --config",
            file.display()
        ),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
    }
}
