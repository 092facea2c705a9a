//! dotidx's own configuration file, from the relay node to the services behind nginx.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dixmgr_testkit::http::Request;
use dixmgr_testkit::{CountedUnit, HttpFixture, Namespace, Reply, SystemdNamespace, eventually};
use serde_json::{Value, json};

use crate::support::{SOON, assert_starts, assert_stays, await_health, exec};

/// A Substrate node's JSON-RPC port: it catches up until it is told that it has.
struct Node {
    rpc: HttpFixture,
    synced: Arc<AtomicBool>,
}

impl Node {
    fn start() -> Self {
        let synced = Arc::new(AtomicBool::new(false));
        let state = Arc::clone(&synced);
        let rpc = HttpFixture::start(move |request| answer(request, state.load(Ordering::SeqCst)));
        Self { rpc, synced }
    }

    fn port(&self) -> u16 {
        self.rpc.port()
    }

    fn catches_up(&self) {
        self.synced.store(true, Ordering::SeqCst);
    }
}

/// What a Substrate node says to a call.
pub(crate) fn answer(request: &Request, synced: bool) -> Reply {
    let call: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let (best, highest) = if synced { (1000, 1000) } else { (10, 1000) };
    let result = match call["method"].as_str() {
        Some("system_health") => json!({ "isSyncing": !synced, "peers": 12, "shouldHavePeers": true }),
        Some("system_syncState") => json!({ "startingBlock": 0, "currentBlock": best, "highestBlock": highest }),
        Some("chain_getFinalizedHead") => json!(format!("0x{:064x}", 1)),
        Some("chain_getHeader") => json!({ "number": format!("{best:#x}") }),
        _ => {
            return Reply::json(
                &json!({ "jsonrpc": "2.0", "id": call["id"], "error": { "code": -32601, "message": "no" } }),
            );
        }
    };
    Reply::json(&json!({ "jsonrpc": "2.0", "id": call["id"], "result": result }))
}

const RELAY: &str = "relay-node-archive@polkadot.service";
const PARA: &str = "chain-node-archive@polkadot-assethub.service";
const SIDECAR: &str = "sidecar@polkadot-assethub-0.service";

fn install(systemd: &SystemdNamespace) {
    let templates = ["relay-node-archive@.service", "chain-node-archive@.service", "sidecar@.service"];
    let plain = ["dix-nginx", "dixlive", "dixfe", "dixbatch", "dixcron"].map(|name| format!("{name}.service"));
    let units = templates.into_iter().map(CountedUnit::new).chain(plain.iter().map(|name| CountedUnit::new(name)));
    systemd.install(&units.collect::<Vec<_>>());
}

#[test]
fn nodes_sync_before_sidecars_sidecars_before_nginx_and_nginx_before_the_rest() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    install(&systemd);
    let (relay, para, sidecar) = (Node::start(), Node::start(), HttpFixture::always(Reply::status(200)));
    let config = format!(
        "[dotidx_db]\nuser = \"keys that are not ours are accepted\"\n\
         [watcher]\nwatch_interval = \"300ms\"\nmax_restarts = 5\nrestart_backoff = \"1s\"\n\
         [parachains.polkadot.polkadot]\nport_rpc = {}\nsidecar_count = 0\n\
         [parachains.polkadot.assethub]\nport_rpc = {}\nsidecar_count = 1\nsidecar_ip = \"127.0.0.1\"\nsidecar_port = {}\n",
        relay.port(),
        para.port(),
        sidecar.port() - 1,
    );
    let daemon = exec(&systemd, &config, &[]);
    eventually("the relay node is started", SOON, || (systemd.starts(RELAY) == 1).then_some(()));
    assert_stays(&daemon, "a node that syncs is not ready", || systemd.starts(PARA) == 0);
    let labels = [("node", "polkadot"), ("chain", "polkadot")];
    eventually("it has been asked for its peers", SOON, || {
        (daemon.metrics().get("dixmgr_node_peer_count", &labels) == Some(12.0)).then_some(())
    });
    assert_eq!(daemon.metrics().get("dixmgr_node_sync_status", &labels), Some(0.0));

    relay.catches_up();
    eventually("the parachain node is started", SOON, || (systemd.starts(PARA) == 1).then_some(()));
    assert_stays(&daemon, "its sidecar waits", || systemd.starts(SIDECAR) == 0);
    para.catches_up();
    for service in ["dixlive", "dixfe", "dixbatch", "dixcron"] {
        await_health(&daemon, service, true);
        assert_starts(&systemd, &daemon, &format!("{service}.service"), 1);
    }
    let order = [RELAY, PARA, SIDECAR, "dix-nginx.service", "dixfe.service"].map(|unit| systemd.start_times(unit)[0]);
    assert!(order.is_sorted(), "{order:?}");
    assert_eq!(daemon.metrics().get("dixmgr_node_sync_status", &labels), Some(1.0));

    systemd.kill_unit(SIDECAR);
    assert_starts(&systemd, &daemon, SIDECAR, 2);
    assert_eq!(systemd.starts(RELAY) + systemd.starts(PARA) + systemd.starts("dix-nginx.service"), 3);
}
