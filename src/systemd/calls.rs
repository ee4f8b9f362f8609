//! What every conversation with systemd's manager needs.

use crate::model::{Job, JobKind, LoadState, UnitState};
use std::collections::HashMap;
use std::time::Duration;
use zbus::{Connection, DynamicType, Message, ObjectPath, OwnedObjectPath, Variant};

pub const SYSTEMD: &str = "org.freedesktop.systemd1";
pub const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
pub const MANAGER: &str = "org.freedesktop.systemd1.Manager";
pub const UNIT: &str = "org.freedesktop.systemd1.Unit";
pub const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const JOB: &str = "org.freedesktop.systemd1.Job";

/// A unit as ListUnits and its kin have it: name, description, load, active, sub, followed, path, job, job type, job path.
pub type Listed = (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

/// The properties of one interface, as GetAll gives them. What systemd does not have is empty.
pub struct Properties<'m>(pub HashMap<&'m str, Variant<'m>>);

impl Properties<'_> {
    pub fn text(&self, name: &str) -> &str {
        match self.0.get(name) {
            Some(Variant::Str(text)) => text.as_str(),
            _ => "",
        }
    }

    pub fn number(&self, name: &str) -> u64 {
        match self.0.get(name) {
            Some(Variant::U64(number)) => *number,
            Some(Variant::U32(number)) => u64::from(*number),
            _ => 0,
        }
    }

    pub fn flag(&self, name: &str) -> bool {
        matches!(self.0.get(name), Some(Variant::Bool(true)))
    }

    pub fn texts(&mut self, name: &str) -> Vec<String> {
        match self.0.remove(name) {
            Some(Variant::Array(list)) => Vec::try_from(list).unwrap_or_default(),
            _ => Vec::new(),
        }
    }

    pub fn bytes(&mut self, name: &str) -> Vec<u8> {
        match self.0.remove(name) {
            Some(Variant::Array(list)) => Vec::try_from(list).unwrap_or_default(),
            _ => Vec::new(),
        }
    }

    /// A time span of systemd: microseconds, where all ones, and mostly zero too, stand for none.
    pub fn span(&self, name: &str) -> Option<Duration> {
        match self.number(name) {
            0 | u64::MAX => None,
            micros => Some(Duration::from_micros(micros)),
        }
    }

    /// `Job` is `(uo)`, with 0 for none.
    pub fn job(&mut self) -> Option<(u32, OwnedObjectPath)> {
        let (id, path): (u32, OwnedObjectPath) = self.0.remove("Job")?.try_into().ok()?;
        (id != 0).then_some((id, path))
    }
}

/// Nothing if there is no such job any more.
pub async fn job_kind(connection: &Connection, path: &ObjectPath<'_>) -> zbus::Result<Option<JobKind>> {
    match call(connection, path, (PROPERTIES, "Get"), &(JOB, "JobType")).await {
        Ok(reply) => match reply.body().deserialize()? {
            Variant::Str(text) => Ok(Some(JobKind::from(text.as_str()))),
            _ => Ok(Some(JobKind::Other)),
        },
        Err(zbus::Error::MethodError(..) | zbus::Error::FDO(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The state of a unit, its job included, at one moment and in one short answer: properties would take two questions,
/// and the first one's answer holds a hundred of them. Also for a unit that is not loaded, or does not exist.
pub async fn state(connection: &Connection, unit: &str) -> zbus::Result<UnitState> {
    let reply = call(connection, MANAGER_PATH, (MANAGER, "ListUnitsByNames"), &([unit].as_slice(),)).await?;
    let mut listed: Vec<Listed> = reply.body().deserialize()?;
    let (_, _, load, active, sub, _, _, job, kind, _) =
        listed.pop().ok_or_else(|| zbus::Error::Failure(format!("{unit} is no name of a unit")))?;
    Ok(UnitState {
        load: LoadState::from(&*load),
        active: (&*active).into(),
        sub,
        job: (job != 0).then(|| Job { id: job, kind: JobKind::from(&*kind) }),
    })
}

/// LoadUnit rather than GetUnit: it answers for a unit that is not loaded, or does not exist.
pub async fn load(connection: &Connection, unit: &str) -> zbus::Result<OwnedObjectPath> {
    call(connection, MANAGER_PATH, (MANAGER, "LoadUnit"), &(unit,)).await?.body().deserialize()
}

pub async fn call<'p, P, B>(connection: &Connection, path: P, method: (&str, &str), body: &B) -> zbus::Result<Message>
where
    P: TryInto<ObjectPath<'p>>,
    P::Error: Into<zbus::Error>,
    B: serde::Serialize + DynamicType,
{
    connection.call_method(Some(SYSTEMD), path, Some(method.0), method.1, body).await
}
