//! Waiting until a started control plane really works: by condition, under a deadline, and no longer than its programs live.

use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::core::v1::ServiceAccount;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};

use super::Error;
use super::arguments::Layout;
use super::process::Process;

/// An idle machine needs 5 to 10 seconds; one that builds something beside it many more.
const DEADLINE: Duration = Duration::from_mins(3);
const PAUSE: Duration = Duration::from_millis(100);
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// The certificate that the API server makes at its first start.
pub(super) async fn serving_certificate(layout: &Layout, programs: &mut [&mut Process]) -> Result<String, Error> {
    let path = layout.serving_certificate();
    until("the API server's certificate", layout, programs, async || {
        let text = tokio::fs::read_to_string(&path).await.map_err(|error| error.to_string())?;
        // The issuer follows in the same file: before that it is not all written.
        let complete = text.matches("-----END CERTIFICATE-----").count() == 2;
        if complete { Ok(text) } else { Err("it is being written".to_owned()) }
    })
    .await
}

/// The client configuration of a kubeconfig file.
pub(super) async fn client_config(kubeconfig: &Path) -> Result<Config, Error> {
    let read = Kubeconfig::read_from(kubeconfig)?;
    Ok(Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await?)
}

/// The API server with its start-up hooks, RBAC's bootstrap roles among them.
pub(super) async fn apiserver(layout: &Layout, config: &Config, programs: &mut [&mut Process]) -> Result<(), Error> {
    let client = Client::try_from(config.clone())?;
    until("the API server", layout, programs, async || get(&client, "/readyz").await).await
}

/// The controllers, shown by a service account that one of them makes, and the scheduler.
pub(super) async fn controllers(layout: &Layout, config: &Config, programs: &mut [&mut Process]) -> Result<(), Error> {
    let accounts: Api<ServiceAccount> = Api::namespaced(Client::try_from(config.clone())?, "default");
    until("the controller manager", layout, programs, async || probe(accounts.get_metadata("default")).await.map(drop)).await?;
    let scheduler = Client::try_from(loopback(layout.ports.scheduler)?)?;
    until("the scheduler", layout, programs, async || get(&scheduler, "/healthz").await).await
}

/// A program's own health port, whose certificate it made up and told nobody.
fn loopback(port: u16) -> Result<Config, Error> {
    let url = format!("https://127.0.0.1:{port}").parse().map_err(|error| kube::Error::HttpError(http::Error::from(error)))?;
    let mut config = Config::new(url);
    config.accept_invalid_certs = true;
    Ok(config)
}

async fn get(client: &Client, path: &str) -> Result<(), String> {
    let request = http::Request::get(path).body(Vec::new()).map_err(|error| error.to_string())?;
    probe(client.request_text(request)).await.map(drop)
}

async fn probe<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, String> {
    match tokio::time::timeout(PROBE_TIMEOUT, request).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {PROBE_TIMEOUT:?}")),
    }
}

async fn until<T>(
    what: &'static str,
    layout: &Layout,
    programs: &mut [&mut Process],
    condition: impl AsyncFn() -> Result<T, String>,
) -> Result<T, Error> {
    let started = tokio::time::Instant::now();
    loop {
        let last = match condition().await {
            Ok(value) => return Ok(value),
            Err(last) => last,
        };
        for program in programs.iter_mut() {
            program.check_alive()?;
        }
        if started.elapsed() > DEADLINE {
            return Err(Error::NotReady { what, waited: DEADLINE, last, logs: layout.logs() });
        }
        tokio::time::sleep(PAUSE).await;
    }
}
