//! How hosts' kept connections stand while nothing is asked there.

use crate::conductor::shell::Outbox;
use crate::host::{Contact, Watch};
use crate::types::HostName;

/// Tells how a host's kept connection stands, until its link is gone.
pub(super) async fn tell(host: HostName, mut contact: Watch, outbox: Outbox) {
    let mut lost = false;
    while let Some(now) = contact.next().await {
        match now {
            Contact::Lost(why) => {
                outbox.contact(host.clone(), Some(why));
                lost = true;
            }
            Contact::Stands if lost => {
                outbox.contact(host.clone(), None);
                lost = false;
            }
            Contact::Stands | Contact::None => {}
        }
    }
}
