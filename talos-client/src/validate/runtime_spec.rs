//! The container runtime's specification: which kind of value each of its fields takes.

use crate::value::Value;

/// The fields, one line per structure. `s` text, `b` boolean, `i` and `u` whole numbers, a digit group their bits, `[…]` lists,
/// `{…}` maps of one kind; anything else is a structure of that name. A field that is not here is passed over.
const STRUCTURES: &str = "
Spec ociVersion:s process:Process root:Root hostname:s domainname:s mounts:[Mount] hooks:Hooks annotations:{s} linux:Linux
Process terminal:b consoleSize:Box user:User args:[s] commandLine:s env:[s] cwd:s capabilities:LinuxCapabilities rlimits:[POSIXRlimit] noNewPrivileges:b apparmorProfile:s oomScoreAdj:i64 scheduler:Scheduler selinuxLabel:s ioPriority:LinuxIOPriority execCPUAffinity:CPUAffinity
Box height:u64 width:u64
User uid:u32 gid:u32 umask:u32 additionalGids:[u32] username:s
LinuxCapabilities bounding:[s] effective:[s] inheritable:[s] permitted:[s] ambient:[s]
POSIXRlimit type:s hard:u64 soft:u64
Scheduler policy:s nice:i32 priority:i32 flags:[s] runtime:u64 deadline:u64 period:u64
LinuxIOPriority class:s priority:i64
CPUAffinity initial:s final:s
Root path:s readonly:b
Mount destination:s type:s source:s options:[s] uidMappings:[LinuxIDMapping] gidMappings:[LinuxIDMapping]
LinuxIDMapping containerID:u32 hostID:u32 size:u32
Hooks prestart:[Hook] createRuntime:[Hook] createContainer:[Hook] startContainer:[Hook] poststart:[Hook] poststop:[Hook]
Hook path:s args:[s] env:[s] timeout:i64
Linux uidMappings:[LinuxIDMapping] gidMappings:[LinuxIDMapping] sysctl:{s} resources:LinuxResources cgroupsPath:s namespaces:[LinuxNamespace] devices:[LinuxDevice] seccomp:LinuxSeccomp rootfsPropagation:s maskedPaths:[s] readonlyPaths:[s] mountLabel:s intelRdt:LinuxIntelRdt personality:LinuxPersonality timeOffsets:{LinuxTimeOffset}
LinuxTimeOffset secs:i64 nanosecs:u32
LinuxNamespace type:s path:s
LinuxDevice path:s type:s major:i64 minor:i64 fileMode:u32 uid:u32 gid:u32
LinuxResources devices:[LinuxDeviceCgroup] memory:LinuxMemory cpu:LinuxCPU pids:LinuxPids blockIO:LinuxBlockIO hugepageLimits:[LinuxHugepageLimit] network:LinuxNetwork rdma:{LinuxRdma} unified:{s}
LinuxDeviceCgroup allow:b type:s major:i64 minor:i64 access:s
LinuxMemory limit:i64 reservation:i64 swap:i64 kernel:i64 kernelTCP:i64 swappiness:u64 disableOOMKiller:b useHierarchy:b checkBeforeUpdate:b
LinuxCPU shares:u64 quota:i64 burst:u64 period:u64 realtimeRuntime:i64 realtimePeriod:u64 cpus:s mems:s idle:i64
LinuxPids limit:i64
LinuxBlockIO weight:u16 leafWeight:u16
LinuxHugepageLimit pageSize:s limit:u64
LinuxNetwork classID:u32 priorities:[LinuxInterfacePriority]
LinuxInterfacePriority name:s priority:u32
LinuxRdma hcaHandles:u32 hcaObjects:u32
LinuxSeccomp defaultAction:s defaultErrnoRet:u64 architectures:[s] flags:[s] listenerPath:s listenerMetadata:s syscalls:[LinuxSyscall]
LinuxSyscall names:[s] action:s errnoRet:u64 args:[LinuxSeccompArg]
LinuxSeccompArg index:u64 value:u64 valueTwo:u64 op:s
LinuxIntelRdt closID:s l3CacheSchema:s memBwSchema:s enableCMT:b enableMBM:b
LinuxPersonality domain:s flags:[s]
";

/// The first field whose value is of the wrong kind.
pub(super) fn problem(overrides: Option<&Value>) -> Option<String> {
    structure("Spec", overrides?, &mut Vec::new())
}

fn fields(name: &str) -> Option<&'static str> {
    STRUCTURES.lines().find_map(|line| {
        let (known, fields) = line.split_once(' ')?;
        (known == name).then_some(fields)
    })
}

fn structure(name: &str, value: &Value, path: &mut Vec<String>) -> Option<String> {
    let Value::Map(map) = value else {
        return wrong(value, path, &format!("specs.{name}"));
    };
    let fields = fields(name)?;
    let mut keys: Vec<&str> = map.0.iter().map(|(key, _)| &**key).collect();
    keys.sort_unstable();
    keys.into_iter().find_map(|key| {
        let kind = fields
            .split(' ')
            .filter_map(|field| field.split_once(':'))
            .find(|(field, _)| field.eq_ignore_ascii_case(key));
        let (field, kind) = kind?;
        path.push(field.to_owned());
        let found = check(kind, map.get(key)?, path);
        path.pop();
        found
    })
}

fn check(kind: &str, value: &Value, path: &mut Vec<String>) -> Option<String> {
    if *value == Value::Null {
        return None;
    }
    if let Some(inner) = kind
        .strip_prefix('[')
        .and_then(|kind| kind.strip_suffix(']'))
    {
        let Value::List(items) = value else {
            return wrong(value, path, &format!("[]{}", shown(inner)));
        };
        return items.iter().enumerate().find_map(|(index, item)| {
            path.push(index.to_string());
            let found = check(inner, item, path);
            path.pop();
            found
        });
    }
    if let Some(inner) = kind
        .strip_prefix('{')
        .and_then(|kind| kind.strip_suffix('}'))
    {
        let Value::Map(map) = value else {
            return wrong(value, path, &format!("map[string]{}", shown(inner)));
        };
        let mut keys: Vec<&str> = map.0.iter().map(|(key, _)| &**key).collect();
        keys.sort_unstable();
        return keys
            .into_iter()
            .find_map(|key| check(inner, map.get(key)?, path));
    }
    let number = || match value {
        Value::Int(number) => Some(i128::from(*number)),
        Value::Uint(number) => Some(i128::from(*number)),
        Value::Float(number) if number.fract() == 0.0 && number.abs() < 1e15 => {
            Some(*number as i128)
        }
        _ => None,
    };
    let range = match kind {
        "i64" => Some((i128::from(i64::MIN), i128::from(i64::MAX))),
        "i32" => Some((i128::from(i32::MIN), i128::from(i32::MAX))),
        "u64" => Some((0, i128::from(u64::MAX))),
        "u32" => Some((0, i128::from(u32::MAX))),
        "u16" => Some((0, i128::from(u16::MAX))),
        _ => None,
    };
    let fine = match (kind, range) {
        ("s", _) => matches!(value, Value::Text(_) | Value::Time(_)),
        ("b", _) => matches!(value, Value::Bool(_)),
        (_, Some((least, most))) => number().is_some_and(|n| (least..=most).contains(&n)),
        _ => return structure(kind, value, path),
    };
    if fine {
        None
    } else {
        wrong(value, path, &shown(kind))
    }
}

fn shown(kind: &str) -> String {
    match kind {
        "s" => "string".to_owned(),
        "b" => "bool".to_owned(),
        "i64" => "int".to_owned(),
        "i32" => "int32".to_owned(),
        "u64" => "uint64".to_owned(),
        "u32" => "uint32".to_owned(),
        "u16" => "uint16".to_owned(),
        name => format!("specs.{name}"),
    }
}

fn wrong(value: &Value, path: &[String], wanted: &str) -> Option<String> {
    let what = match value {
        Value::Null => return None,
        Value::Bool(_) => "bool".to_owned(),
        Value::Text(_) | Value::Time(_) => "string".to_owned(),
        Value::List(_) => "array".to_owned(),
        Value::Map(_) => "object".to_owned(),
        Value::Int(number) => format!("number {number}"),
        Value::Uint(number) => format!("number {number}"),
        Value::Float(number) => format!("number {number}"),
    };
    // A number in the place of something else is told without its digits.
    let is_number = wanted.starts_with("int") || wanted.starts_with("uint");
    let what = if what.starts_with("number") && !is_number {
        "number".to_owned()
    } else {
        what
    };
    Some(format!(
        "json: cannot unmarshal {what} into Go struct field Spec.{} of type {wanted}",
        path.join(".")
    ))
}
