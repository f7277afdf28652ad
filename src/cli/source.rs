//! Who answers a verb: the daemon when one runs, else this process itself, which takes root.
//!
//! Only silence where a daemon would listen by default means that none runs. A socket that was named must be
//! answered on, and every other trouble with a daemon is an error: what it would have said is not known.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use super::context::{Checked, Context, Declaration, read, with_sessions};
use crate::api::client::{Client, Error};
use crate::config::Config;

/// Who answers.
pub enum Source {
    Daemon(Client),
    /// Nobody else: this process, by this declaration.
    Here(Box<Config>),
    /// No daemon runs, and the declaration is wrong and was shown to be.
    BadDeclaration,
}

impl Context {
    /// Finds out who answers.
    pub fn source(&self) -> anyhow::Result<Source> {
        let (socket, declared) = self.door();
        if let Some(client) = unless_silent(Client::connect(&socket), self.socket.is_some())? {
            self.agree(&client)?;
            return Ok(Source::Daemon(client));
        }
        Ok(match self.shown(self.file(), declared?)? {
            Declaration::Good(config) => Source::Here(Box::new(with_sessions(*config)?)),
            Declaration::Bad => Source::BadDeclaration,
        })
    }

    /// The daemon, for what nobody else can answer.
    pub fn daemon(&self) -> anyhow::Result<Client> {
        let (socket, declared) = self.door();
        let client = Client::connect(&socket);
        // Perhaps it listens somewhere else, and only the declaration could say where.
        let unknown = self.socket.is_none() && !matches!(declared, Ok(Ok(_)));
        if unknown && matches!(client, Err(Error::NotRunning(_))) {
            let file = self.file().display();
            return client.with_context(|| {
                format!("{file} cannot be read or is wrong, so only the usual socket was tried")
            });
        }
        Ok(client?)
    }

    /// Errors when another declaration was named than the daemon's: its answers would be about that one.
    pub fn agree(&self, client: &Client) -> anyhow::Result<()> {
        let Some(named) = &self.config else { return Ok(()) };
        let theirs = client.status()?.config;
        ensure!(
            same_file(named, Path::new(&theirs)),
            "the daemon runs with {theirs}, not with {}: leave --config out, or stop the daemon",
            named.display()
        );
        Ok(())
    }

    /// Where to knock, and the declaration that says so. One that is wrong says nothing: the usual place.
    pub(super) fn door(&self) -> (PathBuf, anyhow::Result<Checked>) {
        let declared = read(self.file());
        let socket = match (&self.socket, &declared) {
            (Some(named), _) => named.clone(),
            (None, Ok(Ok(config))) => config.daemon.socket.clone(),
            (None, _) => Config::default().daemon.socket,
        };
        (socket, declared)
    }
}

/// `None` when no daemon runs, and none was asked for by name.
fn unless_silent<T>(knocked: Result<T, Error>, named: bool) -> Result<Option<T>, Error> {
    match knocked {
        Ok(client) => Ok(Some(client)),
        Err(Error::NotRunning(_)) if !named => Ok(None),
        Err(error) => Err(error),
    }
}

fn same_file(named: &Path, theirs: &Path) -> bool {
    let absolute = std::path::absolute(named).is_ok_and(|named| named == theirs);
    let canonical = |path: &Path| std::fs::canonicalize(path).ok();
    absolute || canonical(named).is_some_and(|named| Some(named) == canonical(theirs))
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_daemon_that_answers_is_asked() {
        assert_eq!(unless_silent(Ok(7), false).unwrap(), Some(7));
        assert_eq!(unless_silent(Ok(7), true).unwrap(), Some(7));
    }

    #[test]
    fn silence_in_the_usual_place_means_that_none_runs() {
        let silence = || Err::<(), _>(Error::NotRunning("/s".into()));
        assert_eq!(unless_silent(silence(), false).unwrap(), None);
        assert!(unless_silent(silence(), true).is_err(), "the user said that one runs there");
    }

    #[test]
    fn no_other_trouble_is_taken_for_silence() {
        let connect = Error::Connect { path: "/s".into(), source: io::ErrorKind::NotADirectory.into() };
        let troubles = [
            Error::Denied("/s".into()),
            Error::Crowded,
            Error::Version { theirs: "2".to_owned() },
            Error::Silent,
            connect,
        ];
        for trouble in troubles {
            assert!(unless_silent(Err::<(), _>(trouble), false).is_err());
        }
    }

    #[test]
    fn a_file_is_the_same_by_any_of_its_names() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("a.toml"), directory.path().join("b.toml"));
        std::fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(same_file(&file, &file) && same_file(&link, &file) && same_file(&file, &link));
        assert!(!same_file(&file, Path::new("/elsewhere.toml")));
        // Also when it is gone, or may not be looked at.
        assert!(same_file(Path::new("/gone/a.toml"), Path::new("/gone/a.toml")));
        assert!(!same_file(Path::new("/gone/a.toml"), Path::new("/gone/b.toml")));
    }
}
