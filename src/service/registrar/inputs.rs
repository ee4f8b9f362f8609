//! What has a say in whether there is an entry, and under which address.

use crate::model::{AddressState, AdvertiseCheck, Drain, NodeAddress, NodeRecord, Reach};
use crate::policy::identity::Uniqueness;
use crate::policy::wish::{Known, Wish, wish};
use crate::service::Outlook;
use crate::service::identity::Identified;
use tokio::sync::watch;

pub struct Inputs {
    pub drain: watch::Receiver<Option<Drain>>,
    pub outlook: watch::Receiver<Outlook>,
    pub address: watch::Receiver<AddressState>,
    pub check: AdvertiseCheck,
    /// None if nobody checks.
    pub reach: Option<watch::Receiver<Option<Reach>>>,
    /// None if nobody looks at the list.
    pub identified: Option<watch::Receiver<Identified>>,
}

impl Inputs {
    pub(super) async fn changed(&mut self) -> Result<(), watch::error::RecvError> {
        let reach = changed(self.reach.as_mut());
        let identified = changed(self.identified.as_mut());
        // Cancel-safe: `changed` marks nothing seen until it returns.
        tokio::select! {
            biased;
            changed = self.drain.changed() => changed,
            changed = self.outlook.changed() => changed,
            changed = self.address.changed() => changed,
            changed = reach => changed,
            changed = identified => changed,
        }
    }

    pub(super) fn wish(&mut self) -> Wish {
        let verdict = self.outlook.borrow_and_update().verdict;
        let reach = self.reach.as_mut().and_then(|reach| reach.borrow_and_update().clone());
        let address = self.address.borrow_and_update();
        let uniqueness = match &mut self.identified {
            None => Uniqueness::Unique,
            Some(identified) => uniqueness(&identified.borrow_and_update(), address.resolved()),
        };
        wish(&Known {
            drain: self.drain.borrow_and_update().as_ref(),
            engine: verdict,
            address: &address,
            check: self.check,
            reach: reach.as_ref(),
            uniqueness: &uniqueness,
        })
    }

    /// What is to be recorded beside this address.
    pub(super) fn record(&self, address: &NodeAddress) -> Option<NodeRecord> {
        let identified = self.identified.as_ref()?.borrow();
        identified.record.clone().filter(|_| identified.address.as_ref() == Some(address))
    }

    /// The engine in words.
    pub(super) fn engine(&self) -> String {
        format!("engine {}", self.outlook.borrow().health)
    }
}

/// What was found at a former address says nothing of this one.
fn uniqueness(identified: &Identified, address: Option<&NodeAddress>) -> Uniqueness {
    if identified.address.as_ref() == address { identified.uniqueness.clone() } else { Uniqueness::Unchecked }
}

/// Never, if there is nobody to hear from.
async fn changed<T>(receiver: Option<&mut watch::Receiver<T>>) -> Result<(), watch::error::RecvError> {
    match receiver {
        Some(receiver) => receiver.changed().await,
        None => std::future::pending().await,
    }
}
