//! What starts a network's nodes on real machines: a Compose file and a systemd unit, beside the nodes' folders.
//!
//! Both run the configurations as they are: containers share the machine's network, so `listen` and `http` mean the
//! same with and without them.

use super::{NetworkFiles, NodeFiles, write};
use crate::cli::exit::CliError;
use std::fmt::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The name of the Compose file.
pub const COMPOSE_FILE: &str = "compose.yaml";

/// The name of the systemd unit, one for all nodes: `fba@NAME` is the node in the folder NAME.
pub const UNIT_FILE: &str = "fba@.service";

/// The unit. It names nothing of one network, so it is the same for all.
pub const UNIT: &str = include_str!("fba@.service");

/// Writes both into the network's folder.
///
/// # Errors
/// When they cannot be written (74, 77).
pub(super) fn write_deployment(made: &NetworkFiles, folder: &Path) -> Result<(), CliError> {
    let owner = std::fs::metadata(folder)
        .map_err(|error| CliError::io(format_args!("reading {}", folder.display()), &error))?;
    write(&folder.join(COMPOSE_FILE), &compose(&made.nodes, owner.uid(), owner.gid()))?;
    write(&folder.join(UNIT_FILE), UNIT)
}

/// One service to a node. `uid` and `gid` own the keys, which nobody else may read.
fn compose(nodes: &[NodeFiles], uid: u32, gid: u32) -> String {
    let mut text = format!(
        "# The nodes of one fba network, one container each: docs/operators.md, \"In containers\".\n\
         # `docker compose up -d` starts them all on this machine, `docker compose up -d NAME` only one.\n\
         name: fba\n\n\
         x-node: &node\n\
         \x20 image: ${{FBA_IMAGE:-fba}}\n\
         \x20 # Who owns the keys: nobody else may read them.\n\
         \x20 user: ${{FBA_USER:-{uid}:{gid}}}\n\
         \x20 # The addresses in node.toml are this machine's.\n\
         \x20 network_mode: host\n\
         \x20 # Compose cannot look at exit codes: a node that stops five times is a matter for a person.\n\
         \x20 restart: on-failure:5\n\
         \x20 stop_grace_period: 30s\n\
         \x20 read_only: true\n\
         \x20 cap_drop: [ALL]\n\
         \x20 security_opt: [\"no-new-privileges:true\"]\n\
         \x20 ulimits: {{core: 0, nofile: 65536}}\n\
         \x20 logging: {{driver: local, options: {{max-size: 50m, max-file: \"5\"}}}}\n\n\
         services:\n"
    );
    for NodeFiles { name, http, .. } in nodes {
        let _infallible = write!(
            text,
            "\x20 {name}:\n\
             \x20   <<: *node\n\
             \x20   command: [run, /network/{name}/node.toml]\n\
             \x20   volumes:\n\
             \x20     - ./genesis.toml:/network/genesis.toml:ro\n\
             \x20     - ./{name}:/network/{name}\n\
             \x20   healthcheck:\n\
             \x20     test: [CMD, fba, status, --node, \"http://{http}\"]\n\
             \x20     interval: 10s\n\
             \x20     start_period: 60s\n"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::tests::plan;
    use super::super::{NetworkFiles, network_init};
    use super::*;
    use crate::cli::run;
    use crate::config::{Config, Keys};
    use serde_yaml_ng::Value;
    use std::collections::BTreeMap;

    fn made() -> (tempfile::TempDir, NetworkFiles) {
        let folder = tempfile::tempdir().unwrap();
        let plan = plan(folder.path(), 2, 3);
        let made = network_init(&plan).unwrap();
        write_deployment(&made, &plan.folder).unwrap();
        (folder, made)
    }

    fn strings(value: &Value) -> Vec<&str> {
        value.as_sequence().unwrap().iter().map(|value| value.as_str().unwrap()).collect()
    }

    #[test]
    fn the_compose_file_has_one_service_to_a_node_with_its_own_configuration_and_address() {
        let (_folder, made) = made();
        let network = made.genesis.parent().unwrap();
        let text = std::fs::read_to_string(network.join(COMPOSE_FILE)).unwrap();
        let mut compose: Value = serde_yaml_ng::from_str(&text).unwrap();
        compose.apply_merge().unwrap();
        let services = compose["services"].as_mapping().unwrap();
        assert_eq!(services.len(), made.nodes.len());
        for node in &made.nodes {
            let service = &services[node.name.as_str()];
            let config = Config::load(&node.config, Keys::Required).unwrap();
            assert_eq!(strings(&service["healthcheck"]["test"]).last().unwrap(), &format!("http://{}", config.http));
            // The mounts put the files where the configuration looks for them, and the command names it.
            let mounts: BTreeMap<&str, &str> =
                strings(&service["volumes"]).iter().map(|mount| mount.split_once(':').unwrap()).collect();
            assert_eq!(mounts["./genesis.toml"], "/network/genesis.toml:ro");
            let inside = mounts[format!("./{}", node.name).as_str()];
            assert_eq!(strings(&service["command"]), ["run", &format!("{inside}/node.toml")]);
            assert!(network.join(&node.name).join("node.toml").is_file());
            assert_eq!(service["network_mode"], "host");
            assert!(service["user"].as_str().unwrap().starts_with("${FBA_USER:-"));
        }
        assert!(!text.contains(network.to_str().unwrap()), "no path of this machine: the folder can be moved");
    }

    /// The settings of a section, in order; a name may come several times.
    fn section<'a>(unit: &'a str, name: &str) -> Vec<(&'a str, &'a str)> {
        let lines = unit.lines().skip_while(|line| *line != format!("[{name}]")).skip(1);
        let settings = lines.take_while(|line| !line.starts_with('['));
        settings
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| line.split_once('=').unwrap())
            .collect()
    }

    #[test]
    fn the_unit_runs_a_node_as_the_guide_installs_it_and_leaves_what_a_restart_cannot_mend() {
        let service: BTreeMap<&str, &str> = section(UNIT, "Service").into_iter().collect();
        assert_eq!(service["ExecStart"], "/usr/local/bin/fba run /var/lib/fba/%i/node.toml");
        assert_eq!(service["ReadWritePaths"], "/var/lib/fba/%i");
        assert_eq!(service["Restart"], "on-failure");
        let final_codes: Vec<u8> =
            service["RestartPreventExitStatus"].split(' ').map(|code| code.parse().unwrap()).collect();
        assert_eq!(final_codes, run::FINAL_EXITS.map(crate::cli::exit::Exit::code));
        for (name, wanted) in [
            ("User", "fba"),
            ("NoNewPrivileges", "yes"),
            ("ProtectSystem", "strict"),
            ("LimitCORE", "0"),
            ("CapabilityBoundingSet", ""),
        ] {
            assert_eq!(service[name], wanted, "{name}");
        }
        let unit: BTreeMap<&str, &str> = section(UNIT, "Unit").into_iter().collect();
        assert!(unit.contains_key("StartLimitBurst"), "restarts end");
        assert_eq!(section(UNIT, "Install"), [("WantedBy", "multi-user.target")]);
    }
}
