//! Guest attributes: what a guest writes for whoever may read its instance.

use super::Cloud;
use crate::instance::Instance;

/// The instance's metadata must say so before a guest may write.
const ENABLING_KEY: &str = "enable-guest-attributes";
/// All of an instance's guest attributes stay within this.
const GUEST_ATTRIBUTES_BYTES_MAX: usize = 256 * 1024;
/// Namespaces and keys are at most this long.
const NAME_BYTES_MAX: usize = 128;

/// Why a guest may not write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GuestRefused {
    Disabled,
    BadName,
    TooMuch,
}

impl Cloud {
    pub(crate) fn set_guest_attribute(
        &mut self,
        instance: &str,
        namespace: &str,
        key: &str,
        value: String,
    ) -> Result<(), GuestRefused> {
        let Some(instance) = self.instances.get_mut(instance) else { return Err(GuestRefused::Disabled) };
        if !guest_attributes_enabled(instance) {
            return Err(GuestRefused::Disabled);
        }
        if !well_formed(namespace) || !well_formed(key) {
            return Err(GuestRefused::BadName);
        }
        let name = (namespace.to_owned(), key.to_owned());
        let others: usize = instance
            .guest_attributes
            .iter()
            .filter(|(other, _)| **other != name)
            .map(|((namespace, key), value)| namespace.len() + key.len() + value.len())
            .sum();
        if others + namespace.len() + key.len() + value.len() > GUEST_ATTRIBUTES_BYTES_MAX {
            return Err(GuestRefused::TooMuch);
        }
        instance.guest_attributes.insert(name, value);
        self.version += 1;
        Ok(())
    }
}

pub(crate) fn guest_attributes_enabled(instance: &Instance) -> bool {
    instance.metadata_value(ENABLING_KEY).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

fn well_formed(name: &str) -> bool {
    let fits = (1..=NAME_BYTES_MAX).contains(&name.len());
    fits && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}
