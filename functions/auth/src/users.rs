//! Who may sign in: the list of users that the configuration gives. It is read once; nothing here can change it.

use anyhow::{Context as _, bail, ensure};
use argon2::password_hash::{Output, PasswordHash, PasswordHashString, Salt};
use argon2::{Algorithm, Params};
use domain::Role;
use serde::Deserialize;

/// More users than this are a mistake in the configuration: the list is searched from front to back.
const USERS_MAX: usize = 1000;
/// Longest name of a user, in bytes.
pub(crate) const USER_NAME_BYTES_MAX: usize = 64;

/// The least memory that OWASP's Password Storage Cheat Sheet accepts for Argon2id, in KiB.
const HASH_MEMORY_KIB_MIN: u32 = 7 * 1024;
/// A hash that asks for more would let a few sign-ins at once exhaust an instance.
const HASH_MEMORY_KIB_MAX: u32 = 64 * 1024;
/// A hash that asks for more rounds would hold a sign-in for seconds.
const HASH_ROUNDS_MAX: u32 = 10;
/// A hash that asks for more lanes was made for another kind of machine.
const HASH_LANES_MAX: u32 = 4;

/// Somebody who may sign in.
#[derive(Clone)]
pub struct User {
    pub name: String,
    pub role: Role,
    hash: PasswordHashString,
}

/// The users, by name. Never empty. Shown by name and role.
#[derive(Debug)]
pub struct Users {
    users: Vec<User>,
    decoy: PasswordHashString,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserConfig {
    name: String,
    role: String,
    hash: String,
}

impl Users {
    /// Reads `[{"name":"admin","role":"admin","hash":"$argon2id$…"}]`.
    ///
    /// # Errors
    /// Says which user and which field is wrong and what was expected; never repeats a hash.
    pub fn from_json(json: &str) -> anyhow::Result<Self> {
        // serde's own message may quote the text it stopped at, and that text may be a hash.
        let configs: Vec<UserConfig> = serde_json::from_str(json).map_err(|error| {
            anyhow::anyhow!(
                "expected a JSON list of {{\"name\", \"role\", \"hash\"}}; reading stopped at line {}, column {}",
                error.line(),
                error.column()
            )
        })?;
        ensure!((1..=USERS_MAX).contains(&configs.len()), "found {} users; expected 1 to {USERS_MAX}", configs.len());
        let users = configs
            .into_iter()
            .enumerate()
            .map(|(at, config)| config.user().with_context(|| format!("user {}", at + 1)))
            .collect::<anyhow::Result<Vec<_>>>()?;
        for (at, user) in users.iter().enumerate() {
            let twice = users[..at].iter().any(|other| other.name == user.name);
            ensure!(!twice, "the user {:?} is named twice; expected each name once", user.name);
        }
        let decoy = decoy(&users[0].hash)?;
        Ok(Self { users, decoy })
    }

    /// The user of this very name.
    pub fn find(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|user| user.name == name)
    }

    /// The hash to check a password against; for a name that nobody has, one that no password fits and that costs the
    /// same time, so that the time of an answer does not tell who exists.
    pub(crate) fn hash(&self, name: &str) -> PasswordHashString {
        self.find(name).map_or(&self.decoy, |user| &user.hash).clone()
    }
}

impl UserConfig {
    fn user(self) -> anyhow::Result<User> {
        ensure!(
            is_user_name(&self.name),
            "name is {:?}; expected 1 to {USER_NAME_BYTES_MAX} bytes without control characters",
            self.name
        );
        let Some(role) = Role::parse(&self.role) else {
            bail!("role of {:?} is {:?}; expected admin, user or viewer", self.name, self.role);
        };
        let hash = checked_hash(&self.hash).with_context(|| format!("hash of {:?}", self.name))?;
        Ok(User { name: self.name, role, hash })
    }
}

/// Whether somebody could have this name.
pub(crate) fn is_user_name(name: &str) -> bool {
    (1..=USER_NAME_BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control)
}

fn checked_hash(text: &str) -> anyhow::Result<PasswordHashString> {
    let hash = PasswordHash::new(text).ok().context("expected an Argon2id hash as `auth hash-password` prints it")?;
    ensure!(hash.algorithm == Algorithm::Argon2id.ident(), "expected the algorithm argon2id, found {}", hash.algorithm);
    let params = Params::try_from(&hash).ok().context("expected the parameters m, t and p of Argon2id")?;
    ensure!(
        (HASH_MEMORY_KIB_MIN..=HASH_MEMORY_KIB_MAX).contains(&params.m_cost()),
        "m is {} KiB; expected {HASH_MEMORY_KIB_MIN} to {HASH_MEMORY_KIB_MAX}",
        params.m_cost()
    );
    ensure!(params.t_cost() <= HASH_ROUNDS_MAX, "t is {}; expected at most {HASH_ROUNDS_MAX}", params.t_cost());
    ensure!(params.p_cost() <= HASH_LANES_MAX, "p is {}; expected at most {HASH_LANES_MAX}", params.p_cost());
    ensure!(hash.salt.is_some() && hash.hash.is_some(), "expected a hash with salt and output");
    Ok(hash.serialize())
}

/// A hash with the parameters of `model` and an output that no password is known to give.
fn decoy(model: &PasswordHashString) -> anyhow::Result<PasswordHashString> {
    let mut hash = model.password_hash();
    let output = vec![0; hash.hash.map_or(Params::DEFAULT_OUTPUT_LEN, |output| output.len())];
    hash.salt = Some(Salt::from_b64("ZGVjb3lkZWNveWRlY295").map_err(|error| anyhow::anyhow!("decoy salt: {error}"))?);
    hash.hash = Some(Output::new(&output).map_err(|error| anyhow::anyhow!("decoy output: {error}"))?);
    Ok(hash.serialize())
}

impl std::fmt::Display for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let users: Vec<String> = self.users.iter().map(|user| format!("{} {}", user.name, user.role.name())).collect();
        write!(f, "({} user{}: {})", users.len(), if users.len() == 1 { "" } else { "s" }, users.join(", "))
    }
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").field("name", &self.name).field("role", &self.role).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the password `correct horse`, with OWASP's parameters.
    const HASH: &str =
        "$argon2id$v=19$m=19456,t=2,p=1$6mqEEOstjbb4ONPT00FkVg$2NRbo7Td0vy0jKK6H+FzlrUBLgvY9Spohbp6xsQ/1hA";

    fn users(change: impl Fn(&mut serde_json::Value)) -> anyhow::Result<Users> {
        let mut list = serde_json::json!([{"name": "admin", "role": "admin", "hash": HASH}]);
        change(&mut list);
        Users::from_json(&list.to_string())
    }

    #[test]
    fn a_user_is_found_by_the_very_name() {
        let users = users(|_| ()).unwrap();
        assert_eq!(users.find("admin").unwrap().role, Role::Admin);
        assert!(users.find("Admin").is_none() && users.find("").is_none());
    }

    #[test]
    fn what_is_wrong_is_named_and_no_hash_is_repeated() {
        let wrongs: [(&str, serde_json::Value, &str); 9] = [
            ("/0/name", "".into(), "user 1: name is \"\""),
            ("/0/name", "a\nb".into(), "without control characters"),
            ("/0/role", "boss".into(), "role of \"admin\" is \"boss\"; expected admin, user or viewer"),
            ("/0/hash", "secret".into(), "hash of \"admin\": expected an Argon2id hash"),
            ("/0/hash", HASH.replace("argon2id", "argon2i").into(), "found argon2i"),
            ("/0/hash", HASH.replace("19456", "99999999").into(), "m is 99999999 KiB"),
            ("/0/hash", HASH.replace("m=19456", "m=8").into(), "m is 8 KiB"),
            ("/0/hash", HASH.replace("t=2", "t=99").into(), "t is 99; expected at most 10"),
            ("/0/hash", serde_json::json!([HASH]), "reading stopped at line 1"),
        ];
        for (pointer, value, told) in wrongs {
            let error = format!("{:#}", users(|list| *list.pointer_mut(pointer).unwrap() = value.clone()).unwrap_err());
            assert!(error.contains(told), "{pointer}: {error}");
            assert!(!error.contains("2NRbo7Td") && !error.contains("secret"), "{error}");
        }
        let twice = users(|list| *list = serde_json::json!([list[0], list[0]])).unwrap_err();
        assert!(twice.to_string().contains("\"admin\" is named twice"), "{twice}");
        assert!(users(|list| *list = serde_json::json!([])).unwrap_err().to_string().contains("found 0 users"));
    }

    #[test]
    fn a_name_nobody_has_costs_the_same_and_fits_no_password() {
        let users = users(|_| ()).unwrap();
        let (real, decoy) = (users.hash("admin"), users.hash("nobody"));
        assert_eq!(decoy.params(), real.params());
        assert_eq!(decoy.algorithm(), real.algorithm());
        assert_eq!(decoy.hash().unwrap().len(), real.hash().unwrap().len());
        assert_ne!(decoy.hash(), real.hash());
    }

    #[test]
    fn a_user_shows_no_hash() {
        assert!(!format!("{:?}", users(|_| ()).unwrap().find("admin")).contains("argon2"));
    }
}
