//! Storage: what Longhorn is asked for, and whether it fits.

use homelab::component::Catalogue;
use homelab::component::capacity::{allocatable, place};
use homelab::spec::Spec;
use homelab::stage::longhorn;
use longhorn_model::settings;
use longhorn_model::storage_class::StorageClass;

const PRODUCTION: &str = include_str!("../../environments/production/cluster.yaml");

fn spec(text: &str) -> Spec {
    Spec::parse("cluster.yaml", text)
        .unwrap_or_else(|problems| panic!("{}", problems.render(false)))
}

#[test]
fn classes_read_back_as_they_were_meant() {
    let spec = spec(PRODUCTION);
    let lines: Vec<String> = longhorn::storage_classes(&spec)
        .iter()
        .map(|class| {
            let again = StorageClass::from_json(&class.to_json()).unwrap();
            assert_eq!(&again, class);
            let volume = again.volume_parameters().unwrap().unwrap();
            format!(
                "{} default={} {}",
                again.name(),
                again.is_default(),
                volume.to_json()
            )
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    fast-storage default=false {"accessMode":"rwo","dataEngine":"v1","staleReplicaTimeout":2880,"numberOfReplicas":2,"dataLocality":"best-effort","diskSelector":["ssd"],"revisionCounterDisabled":true}
    standard default=true {"accessMode":"rwo","dataEngine":"v1","staleReplicaTimeout":2880,"numberOfReplicas":3,"dataLocality":"disabled","revisionCounterDisabled":true}
    archive default=false {"accessMode":"rwo","dataEngine":"v1","staleReplicaTimeout":2880,"numberOfReplicas":1,"dataLocality":"disabled","diskSelector":["hdd"],"revisionCounterDisabled":true}
    "#);
}

#[test]
fn longhorn_takes_the_settings_and_the_jobs() {
    let spec = spec(PRODUCTION);
    let version = settings::Version::V1_8;
    for (name, value) in longhorn::settings(&spec) {
        settings::validate(version, name, &value).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let jobs = longhorn::recurring_jobs(&spec);
    assert_eq!(jobs.len(), 1);
    for job in jobs {
        assert!(job.check().is_empty(), "{:?}", job.check());
    }
}

#[test]
fn production_keeps_its_volumes_whole_after_losing_any_node() {
    let spec = spec(PRODUCTION);
    let plan = longhorn::capacity(&spec, &Catalogue::of(&spec));
    assert!(plan.fits(), "{plan}");
    for loss in &plan.losses {
        assert!(loss.degraded.is_empty(), "{plan}");
        // The only single copies are those of the class archive.
        assert!(loss.lost.iter().all(|volume| volume == "photos"), "{plan}");
    }
}

#[test]
fn a_worker_offers_what_talos_leaves() {
    let spec = spec(PRODUCTION);
    let worker = allocatable(spec.node("worker-1").unwrap());
    let plane = allocatable(spec.node("cp-1").unwrap());
    assert_eq!(
        (worker.cpu.to_string(), worker.memory.about()),
        ("3950m".into(), "7.3 GiB".into())
    );
    assert_eq!(
        (plane.cpu.to_string(), plane.memory.about()),
        ("1950m".into(), "3.3 GiB".into())
    );
}

#[test]
fn production_runs_on_five_of_its_six_workers_and_not_on_two() {
    let spec = spec(PRODUCTION);
    let catalogue = Catalogue::of(&spec);
    for worker in spec.workers() {
        let placement = place(&spec, &catalogue, &[worker.name.as_str()]);
        assert_eq!(placement.homeless, [], "without {}", worker.name);
    }
    let lost = ["worker-3", "worker-4", "worker-5", "worker-6"];
    let placement = place(&spec, &catalogue, &lost);
    assert!(
        placement.homeless.iter().any(|pod| !pod.apart),
        "{:?}",
        placement.homeless
    );
    assert!(placement.asked.memory > placement.offered.memory);
}
