//! What has a say in whether there is an entry, and under which address.

use crate::model::{AddressState, AdvertiseCheck, Drain, Reach};
use crate::policy::wish::{Wish, wish};
use crate::service::Outlook;
use tokio::sync::watch;

pub struct Inputs {
    pub drain: watch::Receiver<Option<Drain>>,
    pub outlook: watch::Receiver<Outlook>,
    pub address: watch::Receiver<AddressState>,
    pub check: AdvertiseCheck,
    /// None if nobody checks.
    pub reach: Option<watch::Receiver<Option<Reach>>>,
}

impl Inputs {
    pub(super) async fn changed(&mut self) -> Result<(), watch::error::RecvError> {
        let reach = async {
            match &mut self.reach {
                Some(reach) => reach.changed().await,
                None => std::future::pending().await,
            }
        };
        // Cancel-safe: `changed` marks nothing seen until it returns.
        tokio::select! {
            biased;
            changed = self.drain.changed() => changed,
            changed = self.outlook.changed() => changed,
            changed = self.address.changed() => changed,
            changed = reach => changed,
        }
    }

    pub(super) fn wish(&mut self) -> Wish {
        let verdict = self.outlook.borrow_and_update().verdict;
        let reach = self.reach.as_mut().and_then(|reach| reach.borrow_and_update().clone());
        let drain = self.drain.borrow_and_update();
        wish(drain.as_ref(), verdict, &self.address.borrow_and_update(), self.check, reach.as_ref())
    }

    /// The engine in words.
    pub(super) fn engine(&self) -> String {
        format!("engine {}", self.outlook.borrow().health)
    }
}
