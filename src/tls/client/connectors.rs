//! The connectors of a configuration.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::{Connector, authorities};
use crate::config::SharedFiles;
use crate::tls::options::ClientOptions;

/// Makes one connector of the same directives, however many server blocks have them: the system's authorities alone take
/// more than a megabyte.
#[derive(Clone)]
pub struct Connectors {
    made: Arc<Mutex<Vec<Made>>>,
    /// Where certificates, keys and authorities are read from.
    pub files: SharedFiles,
}

impl fmt::Debug for Connectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connectors").finish_non_exhaustive()
    }
}

/// The directives, and the connector of them.
type Made = (ClientOptions, Arc<Connector>);

impl Connectors {
    /// None is made yet.
    pub fn new(files: SharedFiles) -> Connectors {
        Connectors { made: Arc::default(), files }
    }

    /// The connector of these directives.
    ///
    /// # Errors
    /// Those of [`Connector::new`].
    pub fn of(&self, options: &ClientOptions) -> Result<Arc<Connector>, Vec<String>> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, connector)) = made.iter().find(|(others, _)| others == options) {
            return Ok(connector.clone());
        }
        let connector = Arc::new(Connector::new(options, &*self.files)?);
        made.push((options.clone(), connector.clone()));
        Ok(connector)
    }
}

/// The connector of directives that may never be used: an authentication server may ask for TLS where the configuration
/// has none. The system's authorities are read then, by the worker.
#[derive(Debug)]
pub struct OnDemand {
    options: ClientOptions,
    connectors: Connectors,
    made: OnceLock<Arc<Connector>>,
}

impl OnDemand {
    /// Nothing is made yet, nor read.
    pub fn new(options: &ClientOptions, connectors: &Connectors) -> OnDemand {
        OnDemand { options: options.clone(), connectors: connectors.clone(), made: OnceLock::new() }
    }

    /// Has the system's authorities read now, for those who remember what they read: later it may not be possible.
    pub fn read_ahead(&self) {
        if self.options.verify && self.options.trusted_certificate.is_none() && self.made.get().is_none() {
            authorities::bundle(&*self.connectors.files);
        }
    }

    /// The connector.
    ///
    /// # Errors
    /// Those of [`Connector::new`].
    pub fn connector(&self) -> Result<Arc<Connector>, Vec<String>> {
        if let Some(connector) = self.made.get() {
            return Ok(connector.clone());
        }
        let connector = self.connectors.of(&self.options)?;
        Ok(self.made.get_or_init(|| connector).clone())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::testing::options;
    use super::*;
    use crate::config::Machine;
    use crate::tls::testing::{Authority, Files};

    #[test]
    fn one_for_all_with_the_same_directives() {
        let (files, connectors) = (Files::new(), Connectors::new(Arc::new(Machine)));
        let options = options(files.certificates("ca.pem", &[&Authority::new("Root").certificate]));
        let (one, other) = (OnDemand::new(&options, &connectors), OnDemand::new(&options, &connectors));
        assert!(Arc::ptr_eq(&one.connector().unwrap(), &one.connector().unwrap()));
        assert!(Arc::ptr_eq(&one.connector().unwrap(), &other.connector().unwrap()));
        let different = ClientOptions { session_reuse: false, ..options.clone() };
        let different = OnDemand::new(&different, &connectors).connector().unwrap();
        assert!(!Arc::ptr_eq(&one.connector().unwrap(), &different));
        let missing = ClientOptions { trusted_certificate: Some(files.path("none")), ..options };
        assert_eq!(OnDemand::new(&missing, &connectors).connector().unwrap_err().len(), 1);
    }
}
