//! From single services to a plan: names resolved, duplicates and cycles refused, everything in start order.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use dixmgr_model::{Dependency, Plan, ServiceSpec, Target};

use super::fault::{FaultSink, Place};
use super::resolve::Draft;
use super::suggest;

/// Links the services of a file. `prefix` goes before every workflow id.
pub(super) fn link(drafts: Vec<Draft>, prefix: &str, faults: &FaultSink<'_>) -> Plan {
    duplicates(&drafts, faults);
    let edges = edges(&drafts, faults);
    let order = start_order(&edges);
    if order.len() < drafts.len() {
        cycles(&drafts, &edges, &order, faults);
    }
    let services = assemble(drafts, &edges, &order, prefix);
    Plan { revision: revision(&services), services }
}

fn all_units(spec: &ServiceSpec) -> Vec<String> {
    match (&spec.target, spec.replicas) {
        (Target::Command(_), _) => Vec::new(),
        (Target::Unit(unit), Some(replicas)) if unit.contains("{i}") => {
            (0..replicas.count).map(|i| unit.replace("{i}", &i.to_string())).collect()
        }
        (Target::Unit(unit), _) => vec![unit.clone()],
    }
}

fn duplicates(drafts: &[Draft], faults: &FaultSink<'_>) {
    let mut names: HashMap<String, &str> = HashMap::new();
    let mut units: HashMap<String, &str> = HashMap::new();
    let mut workflows: HashMap<String, &str> = HashMap::new();
    for draft in drafts {
        let spec = &draft.spec;
        let own_name = spec.name.as_str();
        let taken = spec.names().find_map(|name| names.insert(name.clone(), own_name).map(|by| (name, by)));
        if let Some((name, by)) = &taken {
            let problem = if *by == own_name {
                format!("a second service is called {name:?}")
            } else {
                format!("{name:?} is already the name of a replica or service of {by:?}")
            };
            faults.report(&draft.name_place, problem, "give each service a name of its own");
        }
        let workflow_ids = std::iter::once(spec.workflow_id.clone())
            .chain((0..spec.replicas.map_or(0, |r| r.count)).map(|i| format!("{}.{i}", spec.workflow_id)));
        for id in workflow_ids {
            if let Some(by) = workflows.insert(id.clone(), own_name).filter(|_| taken.is_none()) {
                let problem = format!("its workflow would be {id}, and that is already one of {by:?}");
                faults.report(&draft.name_place, problem, "choose another name");
                break;
            }
        }
        for unit in all_units(spec) {
            if let Some(by) = units.insert(unit.clone(), own_name) {
                let problem = format!("unit {unit} is already kept by service {by:?}");
                faults.report(&draft.target_place, problem, "keep each unit by one service only");
                break;
            }
        }
    }
}

/// For each service the indices of what it needs.
fn edges(drafts: &[Draft], faults: &FaultSink<'_>) -> Vec<Vec<usize>> {
    let index: HashMap<&str, usize> =
        drafts.iter().enumerate().rev().map(|(i, draft)| (draft.spec.name.as_str(), i)).collect();
    let mut all = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let mut known = BTreeSet::new();
        for need in &draft.needs {
            match index.get(need.value.as_str()) {
                Some(target) if known.insert(*target) => {}
                Some(_) => faults.report(&need.place, format!("{:?} is named twice", need.value), "name it once"),
                None => unknown_need(&need.value, &need.place, &index, faults),
            }
        }
        all.push(known.into_iter().collect());
    }
    all
}

fn unknown_need(name: &str, place: &Place, index: &HashMap<&str, usize>, faults: &FaultSink<'_>) {
    let names: BTreeSet<&str> = index.keys().copied().collect();
    let advice = match suggest::nearest(name, names.iter().copied()) {
        Some(near) => format!("did you mean {near:?}?"),
        None => "name a service of this file".to_owned(),
    };
    faults.report(place, format!("no service is called {name:?}"), advice);
}

/// Indices such that each service comes after all it needs, otherwise in the order of the file. Services on a cycle, and
/// those that need one, are left out.
fn start_order(edges: &[Vec<usize>]) -> Vec<usize> {
    let mut waiting: Vec<usize> = edges.iter().map(Vec::len).collect();
    let mut wanted_by = vec![Vec::new(); edges.len()];
    for (service, needs) in edges.iter().enumerate() {
        for need in needs {
            wanted_by[*need].push(service);
        }
    }
    let mut free: BTreeSet<usize> = (0..edges.len()).filter(|i| waiting[*i] == 0).collect();
    let mut order = Vec::with_capacity(edges.len());
    while let Some(service) = free.pop_first() {
        order.push(service);
        for dependent in &wanted_by[service] {
            waiting[*dependent] -= 1;
            if waiting[*dependent] == 0 {
                free.insert(*dependent);
            }
        }
    }
    order
}

/// Names each cycle among the services that could not be ordered: every walk along `needs` ends on one.
fn cycles(drafts: &[Draft], edges: &[Vec<usize>], order: &[usize], faults: &FaultSink<'_>) {
    let ordered: BTreeSet<usize> = order.iter().copied().collect();
    let mut seen = ordered.clone();
    for start in 0..drafts.len() {
        let mut path: Vec<usize> = Vec::new();
        let mut at = start;
        while seen.insert(at) {
            path.push(at);
            // A service that could not be ordered always needs another one that could not.
            match edges[at].iter().find(|need| !ordered.contains(need)) {
                Some(next) => at = *next,
                None => break,
            }
        }
        if let Some(entry) = path.iter().position(|visited| *visited == at) {
            report_cycle(drafts, &path[entry..], faults);
        }
    }
}

fn report_cycle(drafts: &[Draft], cycle: &[usize], faults: &FaultSink<'_>) {
    let Some(first) = cycle.first() else { return };
    let names: Vec<&str> = cycle.iter().chain([first]).map(|i| drafts[*i].spec.name.as_str()).collect();
    let next = names[1];
    let draft = &drafts[*first];
    let place = draft.needs.iter().find(|need| need.value == next).map_or(&draft.name_place, |need| &need.place);
    faults.report(place, format!("a cycle: {}", names.join(" → ")), "nothing on a cycle could ever start; break it");
}

/// Puts the services in order, with ids of what they need and of who needs them.
fn assemble(drafts: Vec<Draft>, edges: &[Vec<usize>], order: &[usize], prefix: &str) -> Vec<ServiceSpec> {
    let ids: Vec<String> = drafts.iter().map(|draft| format!("{prefix}{}", draft.spec.workflow_id)).collect();
    let mut specs: Vec<Option<ServiceSpec>> = drafts.into_iter().map(|draft| Some(draft.spec)).collect();
    let names: Vec<String> = specs.iter().flatten().map(|spec| spec.name.clone()).collect();
    let mut dependents: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for (service, needs) in edges.iter().enumerate() {
        for need in needs {
            dependents.entry(*need).or_default().push(ids[service].clone());
        }
    }
    let mut services = Vec::with_capacity(order.len());
    for i in order {
        let Some(mut spec) = specs[*i].take() else { continue };
        let dependency = |need: &usize| Dependency { service: names[*need].clone(), workflow_id: ids[*need].clone() };
        spec.needs = edges[*i].iter().map(dependency).collect();
        spec.dependents = dependents.remove(i).unwrap_or_default();
        spec.workflow_id.clone_from(&ids[*i]);
        services.push(spec);
    }
    services
}

/// FNV-1a, 128 bits, over the plan's JSON: stable over releases and machines, and no secret rests on it.
fn revision(services: &[ServiceSpec]) -> String {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let mut hash = OFFSET;
    for service in services {
        for byte in serde_json::to_vec(service).unwrap_or_default() {
            hash = (hash ^ u128::from(byte)).wrapping_mul(PRIME);
        }
    }
    format!("{hash:032x}")
}
