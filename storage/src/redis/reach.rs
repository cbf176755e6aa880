//! How a connection to Redis is made, for each layout, and what is alike in all of them.

use std::fmt;

use redis::aio::{AsyncPushSender, ConnectionLike, MultiplexedConnection, SendError};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo, SingleNodeRoutingInfo};
use redis::io::tcp::TcpSettings;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo,
    Pipeline, ProtocolVersion, PushInfo, PushKind, RedisConnectionInfo, RedisError, RedisFuture, RedisResult,
    TlsCertificates, TlsMode, Value,
};
use tokio::sync::mpsc;

use super::link::LinkTerms;
use super::url::{Layout, Node, RedisUrl, Security};

/// Where pushes go. Unbounded because the connection must never wait: whoever takes them out does nothing else.
pub(super) type Pushes = mpsc::UnboundedSender<PushInfo>;

/// Where the pushes of one connection go, and the news that it is gone.
#[derive(Debug, Clone)]
pub(super) struct Hearing {
    pub(super) generation: u64,
    pub(super) broken: mpsc::Sender<u64>,
    pub(super) pushes: Option<Pushes>,
}

/// How Redis is reached.
pub(super) struct Reach {
    url: RedisUrl,
    terms: LinkTerms,
}

/// What commands are sent through. Clones share it.
#[derive(Clone)]
pub(super) enum Connection {
    /// To one server.
    Single(MultiplexedConnection),
    /// To each of several.
    Cluster(ClusterConnection),
}

impl AsyncPushSender for Hearing {
    fn send(&self, info: PushInfo) -> Result<(), SendError> {
        let generation = self.generation;
        if info.kind == PushKind::Disconnection {
            // A full channel holds another report, which does as well.
            let _ = self.broken.try_send(generation);
        }
        match &self.pushes {
            Some(pushes) => pushes.send(info).map_err(|_| SendError),
            None => Ok(()),
        }
    }
}

impl Reach {
    pub(super) fn new(url: RedisUrl, terms: LinkTerms) -> Self {
        Self { url, terms }
    }

    pub(super) fn terms(&self) -> &LinkTerms {
        &self.terms
    }

    /// A new connection, whose pushes go to `hearing`. How long that may take is the caller's to say.
    pub(super) async fn connect(&self, hearing: Hearing) -> RedisResult<Connection> {
        match &self.url.layout {
            Layout::Single(node) => {
                let client = match self.url.security {
                    Security::Plain => Client::open(self.info(node)?)?,
                    Security::Tls => Client::build_with_tls(self.info(node)?, self.certificates())?,
                };
                let config = self.config(hearing);
                let connection = client.get_multiplexed_async_connection_with_config(&config);
                connection.await.map(Connection::Single)
            }
            Layout::Sentinel { sentinels, master } => {
                let addresses = sentinels.iter().map(|node| self.address(node));
                let mut builder = SentinelClientBuilder::new(addresses, master, SentinelServerType::Master)?
                    .set_client_to_redis_db(i64::from(self.url.database))
                    .set_client_to_redis_protocol(ProtocolVersion::RESP3)
                    .set_client_to_redis_tcp_settings(tcp());
                if let Some(username) = &self.url.username {
                    builder = builder.set_client_to_redis_username(username);
                }
                if let Some(password) = &self.url.password {
                    builder = builder.set_client_to_redis_password(password);
                }
                if self.url.security == Security::Tls {
                    builder = builder
                        .set_client_to_redis_tls_mode(TlsMode::Secure)
                        .set_client_to_redis_certificates(self.certificates())
                        .set_client_to_sentinel_tls_mode(TlsMode::Secure)
                        .set_client_to_sentinel_certificates(self.certificates());
                }
                let mut client = builder.build()?;
                let config = self.config(hearing);
                let connection = client.get_async_connection_with_config(&config);
                connection.await.map(Connection::Single)
            }
            Layout::Cluster(nodes) => self.connect_cluster(nodes, hearing).await,
        }
    }

    async fn connect_cluster(&self, nodes: &[Node], hearing: Hearing) -> RedisResult<Connection> {
        let infos = nodes
            .iter()
            .map(|node| self.info(node))
            .collect::<RedisResult<Vec<_>>>()?;
        let mut builder = ClusterClientBuilder::new(infos)
            .use_protocol(ProtocolVersion::RESP3)
            .tcp_settings(tcp())
            .connection_timeout(self.terms.connect_deadline)
            .response_timeout(self.terms.answer_deadline)
            .overall_response_timeout(Some(self.terms.answer_deadline))
            // Of what failed it is not known whether it was done; only its caller knows whether it may be done twice.
            .retries(0);
        if let Some(username) = &self.url.username {
            builder = builder.username(username);
        }
        if let Some(password) = &self.url.password {
            builder = builder.password(password);
        }
        if self.url.security == Security::Tls {
            builder = builder.tls(TlsMode::Secure).certs(self.certificates());
        }
        let connection = builder
            .push_sender(hearing)
            .build()?
            .get_async_connection()
            .await?;
        Ok(Connection::Cluster(connection))
    }

    fn config(&self, hearing: Hearing) -> AsyncConnectionConfig {
        AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.terms.connect_deadline))
            .set_response_timeout(Some(self.terms.answer_deadline))
            .set_push_sender(hearing)
    }

    fn certificates(&self) -> TlsCertificates {
        TlsCertificates {
            client_tls: None,
            root_cert: self.terms.authorities.clone(),
        }
    }

    fn address(&self, node: &Node) -> ConnectionAddr {
        let Node { host, port } = node.clone();
        match self.url.security {
            Security::Plain => ConnectionAddr::Tcp(host, port),
            Security::Tls => ConnectionAddr::TcpTls {
                host,
                port,
                insecure: false,
                tls_params: None,
            },
        }
    }

    fn info(&self, node: &Node) -> RedisResult<ConnectionInfo> {
        let mut settings = RedisConnectionInfo::default()
            .set_db(i64::from(self.url.database))
            .set_protocol(ProtocolVersion::RESP3)
            .set_lib_name("touchstone", env!("CARGO_PKG_VERSION"));
        if let Some(username) = &self.url.username {
            settings = settings.set_username(username);
        }
        if let Some(password) = &self.url.password {
            settings = settings.set_password(password);
        }
        let info = self.address(node).into_connection_info()?;
        Ok(info.set_tcp_settings(tcp()).set_redis_settings(settings))
    }
}

/// What is asked is small, and nobody wants to wait until more has piled up.
fn tcp() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

impl Connection {
    /// What the server says which version it is.
    pub(super) async fn version(&mut self) -> RedisResult<String> {
        let command = redis::cmd("INFO").arg("server").to_owned();
        let said: String = match self {
            Self::Single(connection) => command.query_async(connection).await?,
            Self::Cluster(connection) => {
                let any = RoutingInfo::SingleNode(SingleNodeRoutingInfo::Random);
                redis::from_redis_value(connection.route_command(command, any).await?)?
            }
        };
        let version = said.lines().find_map(|line| line.strip_prefix("redis_version:"));
        Ok(version.unwrap_or("of an unknown version").trim().to_owned())
    }

    /// What each of the servers that take writes answers.
    pub(super) async fn ask_every_server(&mut self, command: &Cmd) -> RedisResult<Vec<Value>> {
        match self {
            Self::Single(connection) => Ok(vec![command.query_async(connection).await?]),
            Self::Cluster(connection) => {
                let masters = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
                match connection.route_command(command.clone(), masters).await? {
                    Value::Map(answers) => Ok(answers.into_iter().map(|(_, answer)| answer).collect()),
                    other => Ok(vec![other]),
                }
            }
        }
    }

    /// Whether the server does what it is asked: one that still loads its memory does not, nor a cluster that is not whole.
    pub(super) async fn ready(&mut self) -> RedisResult<()> {
        redis::cmd("PING").query_async::<Value>(self).await?;
        let Self::Cluster(connection) = self else {
            return Ok(());
        };
        let command = redis::cmd("CLUSTER").arg("INFO").to_owned();
        let any = RoutingInfo::SingleNode(SingleNodeRoutingInfo::Random);
        let said: String = redis::from_redis_value(connection.route_command(command, any).await?)?;
        if said.contains("cluster_state:ok") {
            return Ok(());
        }
        Err(RedisError::from((ErrorKind::Client, "the cluster is not whole")))
    }

    /// From when this returns, pushes bring what is published under the channel.
    pub(super) async fn subscribe(&mut self, channel: &str) -> RedisResult<()> {
        match self {
            Self::Single(connection) => {
                let command = redis::cmd("SSUBSCRIBE").arg(channel).to_owned();
                command.query_async(connection).await
            }
            Self::Cluster(connection) => connection.ssubscribe(channel).await,
        }
    }

    /// Takes it back.
    pub(super) async fn unsubscribe(&mut self, channel: &str) -> RedisResult<()> {
        match self {
            Self::Single(connection) => {
                let command = redis::cmd("SUNSUBSCRIBE").arg(channel).to_owned();
                command.query_async(connection).await
            }
            Self::Cluster(connection) => connection.sunsubscribe(channel).await,
        }
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Single(connection) => connection.req_packed_command(cmd),
            Self::Cluster(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Single(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Single(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Single(_) => "Single",
            Self::Cluster(_) => "Cluster",
        })
    }
}
