//! The way to Valkey: one server, the master that sentinels name, or a cluster.

use std::path::{Path, PathBuf};
use std::time::Duration;

use redis::cluster::ClusterClientBuilder;
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo,
    RedisConnectionInfo, RedisError, TlsCertificates, TlsMode,
};
use tokio::time::timeout;

use super::address::{Address, Arrangement, Credentials, Host};
use super::connection::Connection;
use crate::Config;

/// How long one host may take to be connected and to know us.
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// How often a cluster sends a command elsewhere before it has failed.
const REDIRECTIONS_MAX: u32 = 4;

/// Why Valkey does not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("{0}")]
    Refused(#[from] RedisError),
    #[error("no answer within {}", facts::duration::format(*.0))]
    Slow(Duration),
    #[error("{path}: {source}")]
    File { path: String, source: std::io::Error },
    #[error("no sentinel answers: {0}")]
    NoSentinel(String),
    #[error("its key `secret` holds no secret of ours")]
    NoSecret,
    #[error("the sentinels know no master {0:?}")]
    NoMaster(String),
}

impl Fault {
    /// Whether it is that of one key, which is none of ours: no reason to think worse of the others.
    pub(crate) fn is_of_one_key(&self) -> bool {
        matches!(self, Self::Refused(error) if error.code() == Some("WRONGTYPE"))
    }
}

/// Whom to connect to, and as whom.
#[derive(Debug)]
pub(crate) struct Dialer {
    pub address: Address,
    ca_file: Option<PathBuf>,
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
}

impl Dialer {
    pub(crate) fn new(address: Address, config: &Config) -> Self {
        let Config { tls_ca_file: ca_file, tls_cert_file: cert_file, tls_key_file: key_file, .. } = config.clone();
        Self { address, ca_file, cert_file, key_file }
    }

    /// A connection that has been let in. Certificates are read anew each time, so that renewed ones are taken on.
    pub(crate) async fn connect(&self) -> Result<Connection, Fault> {
        let certificates = self.certificates()?;
        let credentials = self.address.credentials.as_ref();
        match &self.address.arrangement {
            Arrangement::Cluster => self.connect_cluster(certificates).await,
            Arrangement::Sentinel(name) => {
                let master = self.master(name, certificates.as_ref()).await?;
                self.connect_host(&master, credentials, certificates.as_ref()).await
            }
            Arrangement::Single => {
                let host = self.address.hosts.first().expect("an address has a host");
                self.connect_host(host, credentials, certificates.as_ref()).await
            }
        }
    }

    async fn connect_host(
        &self,
        host: &Host,
        credentials: Option<&Credentials>,
        certificates: Option<&TlsCertificates>,
    ) -> Result<Connection, Fault> {
        let settings = RedisConnectionInfo::default().set_skip_set_lib_name().set_db(self.address.database.into());
        self.connect_as(host, known_as(settings, credentials), certificates).await
    }

    async fn connect_as(
        &self,
        host: &Host,
        settings: RedisConnectionInfo,
        certificates: Option<&TlsCertificates>,
    ) -> Result<Connection, Fault> {
        let info = self.info(host)?.set_redis_settings(settings);
        let client = match certificates {
            Some(certificates) => Client::build_with_tls(info, certificates.clone())?,
            None => Client::open(info)?,
        };
        // Whoever asks has a limit of their own.
        let config = AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
        let connection = client.get_multiplexed_async_connection_with_config(&config);
        let connected = timeout(CONNECT_MAX, connection).await.map_err(|_| Fault::Slow(CONNECT_MAX))?;
        Ok(Connection::Single(connected?))
    }

    async fn connect_cluster(&self, certificates: Option<TlsCertificates>) -> Result<Connection, Fault> {
        let hosts = self.address.hosts.iter().map(|host| self.info(host)).collect::<Result<Vec<_>, _>>()?;
        let mut builder = ClusterClientBuilder::new(hosts)
            .connection_timeout(CONNECT_MAX)
            .response_timeout(CONNECT_MAX)
            .retries(REDIRECTIONS_MAX);
        if let Some(Credentials { user, password }) = &self.address.credentials {
            builder = builder.password(password);
            if let Some(user) = user {
                builder = builder.username(user);
            }
        }
        if let Some(certificates) = certificates {
            builder = builder.tls(TlsMode::Secure).certs(certificates);
        }
        let client = builder.build()?;
        let limit = CONNECT_MAX * 2;
        let connected = timeout(limit, client.get_async_connection()).await.map_err(|_| Fault::Slow(limit))?;
        Ok(Connection::Cluster(connected?))
    }

    /// Where the master of this name is, by the first sentinel that knows it. A sentinel has users of its own; who wants
    /// a password there is given that of the servers.
    async fn master(&self, name: &str, certificates: Option<&TlsCertificates>) -> Result<Host, Fault> {
        let mut fault = Fault::NoMaster(name.to_owned());
        for sentinel in &self.address.hosts {
            let credentials = self.address.credentials.as_ref();
            let mut answer = self.ask_sentinel(sentinel, None, certificates, name).await;
            if credentials.is_some() && matches!(&answer, Err(Fault::Refused(error)) if error.code().is_some()) {
                answer = self.ask_sentinel(sentinel, credentials, certificates, name).await;
            }
            match answer {
                Ok(Some((name, port))) => return Ok(Host { name, port }),
                Ok(None) => fault = Fault::NoMaster(name.to_owned()),
                Err(why) => fault = Fault::NoSentinel(format!("{sentinel}: {why}")),
            }
        }
        Err(fault)
    }

    async fn ask_sentinel(
        &self,
        sentinel: &Host,
        credentials: Option<&Credentials>,
        certificates: Option<&TlsCertificates>,
        name: &str,
    ) -> Result<Option<(String, u16)>, Fault> {
        let settings = known_as(RedisConnectionInfo::default().set_skip_set_lib_name(), credentials);
        let mut connection = self.connect_as(sentinel, settings, certificates).await?;
        let mut question = redis::cmd("SENTINEL");
        question.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
        timeout(CONNECT_MAX, connection.ask(&question)).await.map_err(|_| Fault::Slow(CONNECT_MAX))?
    }

    fn info(&self, host: &Host) -> Result<ConnectionInfo, RedisError> {
        let Host { name, port } = host.clone();
        let address = if self.address.tls {
            ConnectionAddr::TcpTls { host: name, port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(name, port)
        };
        address.into_connection_info()
    }

    /// The certificates named in the configuration; without TLS none.
    fn certificates(&self) -> Result<Option<TlsCertificates>, Fault> {
        if !self.address.tls {
            return Ok(None);
        }
        let root_cert = self.ca_file.as_deref().map(read).transpose()?;
        let client_tls = match (&self.cert_file, &self.key_file) {
            (Some(cert), Some(key)) => Some(ClientTlsConfig { client_cert: read(cert)?, client_key: read(key)? }),
            _ => None,
        };
        Ok(Some(TlsCertificates { client_tls, root_cert }))
    }
}

fn known_as(settings: RedisConnectionInfo, credentials: Option<&Credentials>) -> RedisConnectionInfo {
    let Some(Credentials { user, password }) = credentials else { return settings };
    let settings = settings.set_password(password);
    match user {
        Some(user) => settings.set_username(user),
        None => settings,
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Fault> {
    std::fs::read(path).map_err(|source| Fault::File { path: path.display().to_string(), source })
}
