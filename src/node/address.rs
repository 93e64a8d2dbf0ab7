//! Addresses of servers, and what it takes to connect to them.

use crate::config::{Config, Tls};
use redis::io::tcp::TcpSettings;
use redis::{Client, ClientTlsConfig, ConnectionAddr, IntoConnectionInfo, TlsCertificates};

/// The address of a URL, without user and password.
pub fn address_of(client: &Client) -> String {
    client.get_connection_info().addr().to_string()
}

/// For connecting to another address as to this one: with the same user, password and certificates.
pub fn client_at(address: &str, like: &Client, config: &Config) -> redis::RedisResult<Client> {
    let info = like.get_connection_info().clone();
    let (host, port) = address.rsplit_once(':').unwrap_or((address, "6379"));
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = port.parse().map_err(|_| (redis::ErrorKind::InvalidClientConfig, "not a port"))?;
    let addr = match info.addr().clone() {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
            ConnectionAddr::TcpTls { host, port, insecure, tls_params }
        }
        _ => ConnectionAddr::Tcp(host, port),
    };
    let is_tls = matches!(addr, ConnectionAddr::TcpTls { .. });
    let info = info.set_addr(addr);
    if is_tls { with_tls(info, &config.tls) } else { Client::open(info) }
}

pub(super) fn client_for(url: &str, tls: &Tls) -> redis::RedisResult<Client> {
    // A round waits for the slowest node: what is to be sent must not wait for an acknowledgement of what was (Nagle).
    let settings = TcpSettings::default().set_nodelay(true);
    let info = url.into_connection_info()?.set_tcp_settings(settings);
    if *tls == Tls::default() || !url.starts_with("rediss:") {
        return Client::open(info);
    }
    with_tls(info, tls)
}

fn with_tls(whom: impl IntoConnectionInfo, tls: &Tls) -> redis::RedisResult<Client> {
    let client_tls = tls.client_certificate.clone();
    let client_tls = client_tls.map(|(client_cert, client_key)| ClientTlsConfig { client_cert, client_key });
    Client::build_with_tls(whom, TlsCertificates { client_tls, root_cert: tls.root_certificate.clone() })
}

pub(super) fn without_password(url: &str) -> String {
    // A password may stand where no URL has one: whatever is not surely a host is left out.
    let rest = url.split_once("://");
    match (rest, url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}"),
        (None, Some((_, host))) => format!("…@{host}"),
        _ => url.to_owned(),
    }
}
